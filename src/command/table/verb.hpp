#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// What a value is: for completion, and for how it is read (`parse_values`). All but the last two
/// name something, so that they are never empty, blank or of several lines.
enum class value_kind {
    none, ///< a flag has no value
    text, ///< a name that only its verb understands
    vm,
    device,
    port,
    assigned_id,
    duration,
    number,
    choice,
    property, ///< NAME=VALUE
    error_code,
    words,    ///< together one line for another program
    anything, ///< also nothing
};

/// What a value_kind::number may be.
struct number_range {
    std::int64_t least = 0;
    std::int64_t most = std::numeric_limits<std::int64_t>::max();
};

struct verb_argument {
    const char* name; ///< as help shows it, e.g. "VM"
    value_kind kind = value_kind::text;
    bool required = true;
    bool repeated = false;       ///< the last one may be: the rest of the line
    number_range range = {};     ///< of value_kind::number
    const char* field = nullptr; ///< in JSON, where it is not the name in small letters
};

struct verb_option {
    const char* name;            ///< "--with-group", or with a short form "-v,--verbose"
    const char* value = nullptr; ///< as help shows it; nullptr: a flag
    const char* help = "";
    value_kind kind = value_kind::none;
    bool repeated = false;
    const char* choices = ""; ///< of value_kind::choice, separated by '|'
    number_range range = {};  ///< of value_kind::number
};

/// What Ctrl-C does to a running verb.
enum class interruption {
    ends_at_once,    ///< nothing changes in it
    ends_after_undo, ///< an operation: what was done is undone first
    ends_stream,     ///< what was printed so far is the answer
    gives_up_line,   ///< the prompt, which the program runs itself: it has no handler
};

/// One row of the table: a verb with everything that help, completion, the man page and a daemon
/// need. A new verb is a row, a handler, a renderer and a test.
struct verb {
    const char* name;
    const char* summary;
    const char* description;
    std::vector<verb_argument> arguments;
    std::vector<verb_option> options;
    const char* example;
    interruption on_interrupt = interruption::ends_at_once;
};

std::span<const verb> verbs();

/// What every verb takes, before or after its name.
std::span<const verb_option> common_options();

/// "--verbose" of "-v,--verbose".
std::string long_name(const verb_option& option);

const verb* find_verb(std::string_view name);

/// An option of a verb, or of all (`row` may be nullptr), by "--id" or "-v"; nullptr when there is
/// none.
const verb_option* find_option(const verb* row, std::string_view name);

} // namespace vmplug
