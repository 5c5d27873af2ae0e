#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// Makes text from outside safe to print: control characters, escape sequences, bidirectional
/// overrides and bytes that are not UTF-8 become visible \x1b-like forms. A guest's name cannot
/// move the cursor or forge a line.
std::string escape_for_terminal(std::string_view text);

/// The same line by line: line breaks stay, and the last line has one.
std::string escape_lines(std::string_view text);

/// How many columns `text` takes, as long as it has no double-width characters.
std::size_t display_width(std::string_view text);

/// A table with aligned columns.
///
/// Shape: the last column is cut to fit `width_max` (0: never cut); the others are as wide as their
/// widest cell. Cells are escaped here: callers pass raw text.
class text_table {
public:
    explicit text_table(std::vector<std::string> header);
    void add(std::vector<std::string> cells);
    bool empty() const { return rows_.size() == 1; }
    std::string format(std::size_t width_max) const;

private:
    std::vector<std::vector<std::string>> rows_;
};

} // namespace vmplug
