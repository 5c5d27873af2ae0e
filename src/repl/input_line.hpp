#pragma once

#include <vmplug/error.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// One line of the REPL, read.
struct input_line {
    enum class kind {
        nothing, ///< blank, or a comment
        own,     ///< use, help, close, quit
        verb,    ///< of the table: `attach 01:00.0 --id nic0`
        qmp,     ///< `query-pci`, `device_add driver=e1000e id=x`
        hmp,     ///< `!info pci`, `hmp info pci`: `text` holds the line
        json,    ///< `{"execute": ...}`: `text` holds it
    };
    kind what = kind::nothing;
    std::vector<std::string> words;
    std::string text;
};

/// Errors: `invalid_argument` for an open quote or bracket.
result<input_line> parse_input_line(std::string_view text);

/// Splits at blanks. Quotes and backslashes work as in a shell, and nothing else does; a value that
/// begins with a bracket is taken as it is until the bracket closes.
result<std::vector<std::string>> split_words(std::string_view text);

/// Whether a literal JSON object is still open: the next line belongs to it.
bool is_open_json(std::string_view text);

/// Splits a script at line ends and at semicolons that are in no quote and no bracket.
std::vector<std::string> split_script(std::string_view text);

} // namespace vmplug
