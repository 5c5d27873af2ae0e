#include "command/render/renderers.hpp"
#include "command/text/json_member.hpp"
#include "command/text/terminal_text.hpp"

namespace vmplug {
namespace {

using nlohmann::json;

ink ink_of(const std::string& state) {
    if (state == "ok") return ink::good;
    return state == "warning" ? ink::doubtful : ink::bad;
}

} // namespace

std::string render_check(const json& value, const text_style& style) {
    if (!value.contains("checks")) return {};
    text_table table({"CHECK", "STATE", "EVIDENCE"});
    for (const auto& row : value["checks"])
        table.add({text_at(row, "check"),
                   {text_at(row, "state"), ink_of(text_at(row, "state"))},
                   text_at(row, "evidence")});
    auto text = table.format(style);
    for (const auto& row : value["checks"])
        if (!text_at(row, "remedy").empty())
            text +=
                escape_for_terminal(text_at(row, "check") + ": " + text_at(row, "remedy")) + "\n";
    return text;
}

} // namespace vmplug
