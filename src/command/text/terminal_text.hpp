#pragma once

#include "command/text/text_style.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// Makes text from outside safe to print: control characters, escape sequences, bidirectional
/// overrides, what a terminal would not show, and bytes that are not UTF-8 become visible \x1b-like
/// forms; so do combining marks that stand on nothing or pile up. A guest's name cannot move the
/// cursor, forge a line or look like another's by what is not seen.
std::string escape_for_terminal(std::string_view text);

/// The same line by line: line breaks stay, and the last line has one.
std::string escape_lines(std::string_view text);

/// How many columns `text` takes, which is safe for a terminal. Colours take none.
std::size_t display_width(std::string_view text);

/// `text`, which has no colours, in at most `width` columns, with an ellipsis where it was cut.
std::string cut_to_width(const std::string& text, std::size_t width);

/// What stands in a table: raw text, and what its colour says.
struct table_cell {
    std::string text;
    ink colour = ink::plain;

    table_cell(std::string plain) : text(std::move(plain)) {}
    table_cell(const char* plain) : text(plain) {}
    table_cell(std::string coloured, ink with) : text(std::move(coloured)), colour(with) {}
};

/// A table with aligned columns.
///
/// Shape: the last column is cut to fit the terminal; the others are as wide as their
/// widest cell. Cells are escaped here: callers pass raw text.
class text_table {
public:
    explicit text_table(std::vector<std::string> header);
    void add(std::vector<table_cell> cells);
    std::string format(const text_style& style) const;

private:
    std::vector<std::vector<table_cell>> rows_;
};

} // namespace vmplug
