#include "command/render/renderers.hpp"
#include "command/text/duration_text.hpp"
#include "command/text/json_member.hpp"
#include "command/text/terminal_text.hpp"

#include <ctime>

namespace vmplug {
namespace {

using nlohmann::json;
using std::chrono::microseconds;

/// What a step found out that a person wants to know.
std::string findings_text(const json& step) {
    const auto findings = step.value("findings", json::object());
    const auto guest = text_at(findings, "guest");
    if (guest == "configured") return ": the guest has configured it";
    if (guest == "added") return ": QEMU has it, the guest has not looked at it yet";
    const auto before = text_at(step.value("arguments", json::object()), "netdev");
    const auto now = text_at(findings, "netdev");
    if (before.empty() || now.empty() || before == now) return {};
    return ": its network interface is called " + now + " now, and was " + before;
}

/// What is not as it was before, a line each.
std::string told_lines(const json& step) {
    std::string text;
    auto told = text_at(step.value("findings", json::object()), "told");
    while (!told.empty()) {
        const auto end = told.find('\n');
        text += "    " + escape_for_terminal(told.substr(0, end)) + "\n";
        told.erase(0, end == told.npos ? end : end + 1);
    }
    return text;
}

std::string step_line(const json& step) {
    const auto state = text_at(step, "state");
    auto text = "  " + escape_for_terminal(text_at(step, "text") + findings_text(step));
    // Of a dry recover: what the journal says and what the world shows.
    if (!text_at(step, "seen").empty())
        return text + ": the journal says " + state + ", the world " + text_at(step, "seen") + "\n";
    if (state == "planned") return text + "\n";
    if (state != "applied") text += " [" + state + "]";
    return text + "  (" + format_duration(microseconds(step.value("duration_us", 0))) + ")\n" +
           told_lines(step);
}

ink ink_of(const std::string& outcome) {
    if (outcome == "done") return ink::good;
    return outcome == "stuck" || outcome == "unknown" ? ink::bad : ink::doubtful;
}

std::string headline(const json& value, const text_style& style) {
    const auto subject = value.value("subject", json::object());
    const auto name = [&](const char* key) { return escape_for_terminal(text_at(subject, key)); };
    const auto what = name("device") + (name("id").empty() ? "" : " as " + name("id"));
    const auto end = text_at(value, "outcome");
    const auto kind = text_at(value, "kind");
    std::string text = paint(style, ink_of(end), end) + ": ";
    if (!kind.empty()) text += kind + " of ";
    text += what;
    if (!name("guest").empty()) text += ", guest " + name("guest");
    if (!name("port").empty()) text += ", port " + name("port");
    if (!text_at(value, "operation").empty())
        text += " (operation " + text_at(value, "operation") + ", " +
                format_duration(microseconds(value.value("duration_us", 0))) + ")";
    return text + "\n";
}

std::string format_time(std::int64_t since_1970_us) {
    const std::time_t seconds = since_1970_us / 1'000'000;
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char text[32];
    return std::string(text, std::strftime(text, sizeof text, "%F %T", &local));
}

} // namespace

std::string render_operation(const json& value, const text_style& style) {
    if (!value.contains("steps")) return {};
    const bool checked = text_at(value, "outcome") == "refused" && value["steps"].empty();
    if (checked) return {};
    std::string text;
    if (text_at(value, "outcome") == "planned")
        text = "This would be done:\n";
    else if (text_at(value, "outcome") != "refused")
        text = headline(value, style);
    for (const auto& step : value["steps"])
        text += step_line(step);
    for (const auto& note : value.value("notes", json::array()))
        text += "  note: " + escape_for_terminal(note.get<std::string>()) + "\n";
    return text;
}

std::string render_recover(const json& value, const text_style& style) {
    if (!value.contains("operations")) return {};
    if (value["operations"].empty()) return "Nothing is unfinished.\n";
    std::string text;
    for (const auto& each : value["operations"]) {
        if (!text_at(each, "would").empty()) {
            text += "operation " + text_at(each, "operation") + ", " + text_at(each, "kind") +
                    ": would " + text_at(each, "would") + "\n";
            for (const auto& step : each["steps"])
                text += step_line(step);
            continue;
        }
        text += render_operation(each, style);
        if (each.contains("error") && !each["error"].is_null())
            text += "  " + escape_for_terminal(text_at(each["error"], "text")) + "\n";
    }
    return text;
}

std::string render_operations(const json& value, const text_style& style) {
    if (!value.contains("operations")) return {};
    if (value["operations"].empty()) return "The journal is empty.\n";
    text_table table({"OP", "TIME", "KIND", "DEVICE", "GUEST", "ID", "OUTCOME", "ERROR"});
    std::string steps;
    for (const auto& each : value["operations"]) {
        const auto subject = each.value("subject", json::object());
        auto end = text_at(each, "outcome");
        if (each.value("running", false)) end = "running";
        if (end.empty()) end = "unfinished";
        table.add({text_at(each, "number"),
                   format_time(each.value("started_us", std::int64_t{0})),
                   text_at(each, "kind"),
                   text_at(subject, "device"),
                   text_at(subject, "guest"),
                   text_at(subject, "id"),
                   {end, ink_of(end)},
                   each["error"].is_null() ? "" : text_at(each["error"], "text")});
        if (!value.value("detail", false)) continue;
        for (const auto& step : each["steps"])
            steps += step_line(step);
    }
    return table.format(style) + steps;
}

} // namespace vmplug
