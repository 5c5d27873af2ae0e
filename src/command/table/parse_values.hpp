#pragma once

#include "command/table/invocation.hpp"
#include "command/table/verb.hpp"

#include <vmplug/error.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// What was written for a verb, by argument or option name; nothing is said of the values yet. A
/// flag has none.
struct written_values {
    std::map<std::string, std::vector<std::string>> by_name;

    bool has(const std::string& name) const { return by_name.contains(name); }
    /// Empty when there is none.
    std::string first(const std::string& name) const;
};

/// How whoever wrote the values calls them, for errors.
enum class spelling {
    of_line,   ///< "--dry-run", "VM"
    of_object, ///< "dry_run", "vm"
};

/// "dry_run" of "--dry-run", "vm" of "VM".
std::string field_name(const verb_argument& argument);
std::string field_name(const verb_option& option);

/// Reads all values, each by its kind. A command line, a line of the prompt and a JSON object come
/// through here, and through nothing else, so that all say the same of the same fault.
///
/// Errors: invalid_argument; `where` is the name, followed by the value where that has no such
/// form.
result<invocation> parse_values(const verb& row, const written_values& written,
                                spelling told = spelling::of_line);

} // namespace vmplug
