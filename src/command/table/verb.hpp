#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// What a value names: for completion, and for what it cannot be (`find_fault`). All but the last
/// two name something, so that they are never empty, blank or of several lines.
enum class value_kind {
    none, ///< a flag has no value
    text, ///< a name or a number that only its verb understands
    vm,
    device,
    port,
    assigned_id,
    duration,
    choice,
    error_code,
    words,    ///< together one line for another program
    anything, ///< also nothing
};

struct verb_argument {
    const char* name; ///< as help shows it, e.g. "VM"
    value_kind kind = value_kind::text;
    bool required = true;
    bool repeated = false; ///< the last one may be: the rest of the line
};

struct verb_option {
    const char* name;            ///< "--with-group", or with a short form "-v,--verbose"
    const char* value = nullptr; ///< as help shows it; nullptr: a flag
    const char* help = "";
    value_kind kind = value_kind::none;
    bool repeated = false;
    const char* choices = ""; ///< of value_kind::choice, separated by '|'
};

/// What a person asked for: values by argument or option name.
struct invocation {
    std::map<std::string, std::vector<std::string>> values;

    bool has(const std::string& name) const { return values.contains(name); }
    std::string value(const std::string& name) const;
    std::vector<std::string> all(const std::string& name) const;
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

} // namespace vmplug
