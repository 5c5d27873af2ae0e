#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace vmplug {

/// A value as its kind reads it: a duration, a number, a property's name and value, or text, which
/// for a choice is one of its row's.
using typed_value = std::variant<std::string, std::chrono::milliseconds, std::int64_t,
                                 std::pair<std::string, std::string>>;

/// What a verb was asked: values by argument or option name ("VM", "--id"). `parse_values` makes
/// it, so that whoever has one parses nothing.
///
/// Errors: to ask for a value in a form that its row does not give it is a bug
/// (bad_variant_access).
class invocation {
public:
    void add_flag(const std::string& name) { values_[name]; }
    void add(const std::string& name, typed_value value);

    bool has(const std::string& name) const { return values_.contains(name); }

    /// Empty when it was not given.
    std::string text(const std::string& name) const;
    std::vector<std::string> texts(const std::string& name) const;
    std::map<std::string, std::string> properties(const std::string& name) const;

    std::optional<std::chrono::milliseconds> duration(const std::string& name) const;
    std::optional<std::int64_t> number(const std::string& name) const;

private:
    const std::vector<typed_value>& all(const std::string& name) const;

    std::map<std::string, std::vector<typed_value>> values_;
};

} // namespace vmplug
