#include "command/text/json_colours.hpp"

#include <algorithm>
#include <string_view>

namespace vmplug {
namespace {

/// Behind the closing quote of the string that begins at `begin`.
std::size_t end_of_string(const std::string& text, std::size_t begin) {
    auto end = begin + 1;
    while (end < text.size() && text[end] != '"')
        end += text[end] == '\\' ? 2 : 1;
    return std::min(end + 1, text.size());
}

bool is_plain(char c) {
    return std::string_view("{}[],: \n").find(c) != std::string_view::npos;
}

} // namespace

std::string paint_json(const text_style& style, const std::string& text) {
    if (!style.colour) return text;
    std::string painted;
    for (std::size_t at = 0; at < text.size();) {
        auto end = at + 1;
        auto colour = ink::plain;
        if (text[at] == '"') {
            end = end_of_string(text, at);
            colour = end < text.size() && text[end] == ':' ? ink::name : ink::text;
        } else if (!is_plain(text[at])) {
            while (end < text.size() && !is_plain(text[end]))
                ++end;
            colour = ink::doubtful;
        }
        painted += paint(style, colour, text.substr(at, end - at));
        at = end;
    }
    return painted;
}

} // namespace vmplug
