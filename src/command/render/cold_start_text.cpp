#include "command/render/renderers.hpp"
#include "command/text/terminal_text.hpp"

#include <nlohmann/json.hpp>

namespace vmplug {
namespace {

using nlohmann::json;

/// A word as a shell takes it literally.
std::string quote_for_shell(const std::string& word) {
    constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789-_=,.:/@%+";
    if (word.find_first_not_of(plain) == std::string::npos) return word;
    std::string quoted = "'";
    for (const char c : word)
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

} // namespace

std::string render_cmdline(const json& value, const text_style&) {
    if (!value.contains("arguments")) return {};
    std::string text;
    for (const auto& word : value["arguments"])
        text += (text.empty() ? "" : " ") + quote_for_shell(word.get<std::string>());
    return text.empty() ? text : escape_lines(text);
}

} // namespace vmplug
