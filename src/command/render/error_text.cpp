#include "command/render/error_text.hpp"

#include "command/text/json_member.hpp"
#include "command/text/terminal_text.hpp"

namespace vmplug {

using nlohmann::json;

std::string render_error(const json& failure, const text_style& style) {
    const auto where = text_at(failure, "where");
    std::string text = "vmplug: " + paint(style, ink::bad, text_at(failure, "code")) + ": ";
    if (!where.empty()) text += escape_for_terminal(where) + ": ";
    text += escape_for_terminal(text_at(failure, "text")) + "\n";
    const auto remedy = text_at(failure, "remedy");
    if (!remedy.empty()) text += "  " + escape_for_terminal(remedy) + "\n";
    return text;
}

} // namespace vmplug
