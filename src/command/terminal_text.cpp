#include "command/terminal_text.hpp"

#include <algorithm>
#include <cstdint>

namespace vmplug {
namespace {

/// Length of the UTF-8 sequence that begins `text`, 0 when it begins none.
std::size_t sequence_length(std::string_view text, std::uint32_t& code_point) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xc2 ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    if (length == 0 || length > text.size()) return 0;
    constexpr std::uint32_t lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    code_point = lead & lead_mask[length];
    for (std::size_t i = 1; i < length; ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if ((byte & 0xc0) != 0x80) return 0;
        code_point = (code_point << 6) | (byte & 0x3fU);
    }
    return length;
}

/// Characters that act instead of showing: C0 and C1 controls, line separators, direction marks.
bool acts(std::uint32_t code_point) {
    return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) || code_point == 0x61c ||
           (code_point >= 0x200b && code_point <= 0x200f) ||
           (code_point >= 0x2028 && code_point <= 0x202e) ||
           (code_point >= 0x2060 && code_point <= 0x206f) || code_point == 0xfeff;
}

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
    while (!text.empty()) {
        std::uint32_t code_point = 0;
        const auto length = sequence_length(text, code_point);
        if (length == 0 || acts(code_point)) {
            for (std::size_t i = 0; i < std::max<std::size_t>(length, 1); ++i)
                append_escaped(out, static_cast<unsigned char>(text[i]));
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(std::max<std::size_t>(length, 1));
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

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string cut_to_width(const std::string& text, std::size_t width) {
    if (display_width(text) <= width) return text;
    if (width == 0) return {};
    std::size_t columns = 0, end = 0;
    while (end < text.size() && columns + 1 < width) {
        ++end;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
            ++end;
        ++columns;
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
