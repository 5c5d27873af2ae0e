#include "command/text/terminal_text.hpp"

#include "command/text/code_point.hpp"

#include <algorithm>

namespace vmplug {
namespace {

/// More marks than that on one character run into the lines above and below.
constexpr int marks_max = 4;

void append_escaped(std::string& out, unsigned char byte) {
    constexpr char digits[] = "0123456789abcdef";
    out += "\\x";
    out += digits[byte >> 4];
    out += digits[byte & 15];
}

} // namespace

std::string escape_for_terminal(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    int marks = marks_max; // there is nothing yet that a mark could stand on
    while (!text.empty()) {
        const auto next = first_code_point(text);
        const bool mark = next.valid && columns_of(next.value) == 0;
        marks = mark ? marks + 1 : 0;
        if (!next.valid || acts(next.value) || marks > marks_max)
            for (const char each : text.substr(0, next.length))
                append_escaped(out, static_cast<unsigned char>(each));
        else
            out += text.substr(0, next.length);
        text.remove_prefix(next.length);
    }
    return out;
}

std::string escape_lines(std::string_view text) {
    std::string safe;
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\n', begin), text.size());
        safe += escape_for_terminal(text.substr(begin, end - begin)) + "\n";
        begin = end + 1;
    }
    return safe;
}

namespace {

/// Length of the colour (SGR) that `text` begins with, 0 when it begins with none.
std::size_t colour_length(std::string_view text) {
    if (!text.starts_with("\033[")) return 0;
    const auto end = text.find_first_not_of("0123456789;", 2);
    return end != text.npos && text[end] == 'm' ? end + 1 : 0;
}

} // namespace

std::size_t display_width(std::string_view text) {
    std::size_t columns = 0;
    while (!text.empty()) {
        const auto colour = colour_length(text);
        const auto next = first_code_point(text);
        if (colour == 0) columns += next.valid ? columns_of(next.value) : 1;
        text.remove_prefix(std::max(colour, next.length));
    }
    return columns;
}

std::string cut_to_width(const std::string& text, std::size_t width) {
    if (display_width(text) <= width) return text;
    if (width == 0) return {};
    std::size_t columns = 0, end = 0;
    while (end < text.size()) {
        const auto next = first_code_point(std::string_view(text).substr(end));
        columns += next.valid ? columns_of(next.value) : 1;
        if (columns >= width) break;
        end += next.length;
    }
    return text.substr(0, end) + "\u2026";
}

text_table::text_table(std::vector<std::string> header) {
    add({std::make_move_iterator(header.begin()), std::make_move_iterator(header.end())});
}

void text_table::add(std::vector<table_cell> cells) {
    for (auto& cell : cells)
        cell.text = escape_for_terminal(cell.text);
    rows_.push_back(std::move(cells));
}

std::string text_table::format(const text_style& style) const {
    std::vector<std::size_t> widths(rows_.front().size(), 0);
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
            widths[i] = std::max(widths[i], display_width(row[i].text));
    std::string out;
    for (const auto& row : rows_) {
        std::string line;
        std::size_t used = 0;
        for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
            const bool last = i + 1 == widths.size();
            constexpr std::size_t readable = 8;
            const auto room = style.width > used + readable ? style.width - used : readable;
            const auto text = last && style.width ? cut_to_width(row[i].text, room) : row[i].text;
            line += paint(style, row[i].colour, text);
            if (!last) line.append(widths[i] - display_width(text) + 2, ' ');
            used += widths[i] + 2;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + '\n';
    }
    return out;
}

} // namespace vmplug
