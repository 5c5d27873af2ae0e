#include "step/shell.hpp"

#include <algorithm>
#include <cctype>

namespace vmplug {

std::string quote_for_shell(std::string_view text) {
    const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x80 && (std::isalnum(byte) ||
                               std::string_view("/._-:+,=@").find(c) != std::string_view::npos);
    });
    if (plain) return std::string(text);
    std::string quoted = "'";
    for (const char c : text)
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

std::string place_pattern(std::string_view place) {
    std::string pattern;
    for (const char c : place) {
        const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
        if (!digit)
            pattern += c;
        else if (!pattern.ends_with('*'))
            pattern += '*';
    }
    return pattern.empty() ? pattern : pattern + "/";
}

} // namespace vmplug
