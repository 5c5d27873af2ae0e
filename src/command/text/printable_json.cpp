#include "command/text/printable_json.hpp"

#include "command/text/code_point.hpp"

#include <algorithm>
#include <string_view>

namespace vmplug {
namespace {

constexpr char32_t replacement = 0xfffd; ///< of what is not UTF-8

void append_unit(std::string& out, unsigned unit) {
    constexpr char digits[] = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4)
        out += digits[(unit >> shift) & 15];
}

/// Above the first plane a pair of surrogates, as RFC 8259 has it.
void append_escaped(std::string& out, char32_t value) {
    if (value < 0x10000) return append_unit(out, value);
    append_unit(out, 0xd800 + ((value - 0x10000) >> 10));
    append_unit(out, 0xdc00 + ((value - 0x10000) & 0x3ff));
}

bool is_plain(char c) {
    return static_cast<unsigned char>(c) < 0x7f;
}

} // namespace

std::string printable_json(const nlohmann::json& value, int indent) {
    const auto text = value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
    std::string_view rest = text;
    std::string out;
    out.reserve(text.size());
    while (!rest.empty()) {
        const auto plain = std::ranges::find_if_not(rest, is_plain) - rest.begin();
        out += rest.substr(0, static_cast<std::size_t>(plain));
        rest.remove_prefix(static_cast<std::size_t>(plain));
        if (rest.empty()) break;
        const auto next = first_code_point(rest);
        if (acts(next.value) || next.value == replacement)
            append_escaped(out, next.value);
        else
            out += rest.substr(0, next.length);
        rest.remove_prefix(next.length);
    }
    return out;
}

std::string json_line(const nlohmann::json& value) {
    return printable_json(value) + "\n";
}

} // namespace vmplug
