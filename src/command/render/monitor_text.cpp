#include "command/render/renderers.hpp"
#include "command/text/json_colours.hpp"
#include "command/text/json_member.hpp"
#include "command/text/printable_json.hpp"
#include "command/text/terminal_text.hpp"

#include <ctime>

namespace vmplug {
namespace {

using nlohmann::json;

std::string format_time(std::int64_t since_1970_us) {
    const std::time_t seconds = since_1970_us / 1'000'000;
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char text[32];
    return std::string(text, std::strftime(text, sizeof text, "%T", &local));
}

} // namespace

std::string render_event(const json& value) {
    if (value.contains("dropped")) return "(" + text_at(value, "dropped") + " events lost)\n";
    const auto monitor = text_at(value, "monitor");
    if (monitor == "gone") return "(the monitor is gone; waiting for it)\n";
    if (monitor == "connected") return "(connected again)\n";
    return escape_for_terminal(format_time(value.value("timestamp_us", std::int64_t{0})) + "  " +
                               text_at(value, "event") + "  " + text_at(value, "data")) +
           "\n";
}

std::string render_hmp(const json& value, const text_style&) {
    return escape_lines(text_at(value, "output"));
}

std::string render_qmp(const json& value, const text_style& style) {
    if (!value.contains("return")) return {};
    return paint_json(style, printable_json(value["return"], 2) + "\n");
}

} // namespace vmplug
