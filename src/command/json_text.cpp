#include "command/json_text.hpp"

#include "command/printable_json.hpp"
#include "command/terminal_text.hpp"

namespace vmplug {

using nlohmann::json;

namespace {

// Both may hold what a caller or QEMU sent, however long.
constexpr std::size_t where_length_max = 300;
constexpr std::size_t text_length_max = 2000;

} // namespace

json to_json(const error& failure) {
    return {{"code", code_name(failure.code)},
            {"where", failure.where.substr(0, where_length_max)},
            {"text", failure.text.substr(0, text_length_max)},
            {"remedy", remedy_of(failure)}};
}

json to_json(const step_record& step) {
    return {{"kind", step.planned.kind},           {"text", describe_step(step.planned)},
            {"arguments", step.planned.arguments}, {"prior_state", step.prior_state},
            {"findings", step.findings},           {"state", state_name(step.state)},
            {"duration_us", step.duration.count()}};
}

json to_json(const operation_record& record) {
    json value{{"number", record.number},
               {"kind", kind_name(record.kind)},
               {"state", state_name(record.state)},
               {"subject", record.subject},
               {"request_id", record.request_id},
               {"runner_pid", record.runner.pid},
               {"steps", json::array()}};
    const auto since_1970 = [](std::chrono::system_clock::time_point time) {
        return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch())
            .count();
    };
    value["started_us"] = since_1970(record.started);
    value["ended_us"] = since_1970(record.ended_at);
    value["outcome"] = record.ended ? json(outcome_name(*record.ended)) : json();
    value["error"] = record.failure ? to_json(*record.failure) : json();
    for (const auto& step : record.steps)
        value["steps"].push_back(to_json(step));
    return value;
}

json to_json(const qemu_process& process) {
    json monitors = json::array();
    for (const auto& each : process.monitors) {
        const bool qmp = each.speaks == qemu_monitor::protocol::qmp;
        json held = nullptr;
        if (each.held_by != 0) held = {{"pid", each.held_by}, {"command", each.holder}};
        monitors.push_back({{"protocol", qmp ? "qmp" : "hmp"},
                            {"address", each.address},
                            {"unusable", each.unusable.empty() ? json() : json(each.unusable)},
                            {"held_by", std::move(held)}});
    }
    return {{"name", process.name},
            {"pid", process.identity.pid},
            {"program", process.program},
            {"machine", process.machine},
            {"uid", process.uid},
            {"user", user_name(process.uid)},
            {"waits_for", process.waits_for.empty() ? json() : json(process.waits_for)},
            {"monitors", std::move(monitors)}};
}

json to_json(const guest_port& port) {
    return {{"bus", port.bus},         {"type", port.type},
            {"free", port.is_free()},  {"takes_hot_add", port.takes_hot_add},
            {"why_not", port.why_not}, {"occupants", port.occupants},
            {"slot", port.slot},       {"full", port.full}};
}

json to_json(const guest_device& device) {
    json value{{"id", device.qdev_id},
               {"type", device.type},
               {"bus", device.bus},
               {"host", device.host},
               {"configured", device.configured}};
    value["address"] = device.address ? json(format_address(*device.address)) : json();
    return value;
}

command_result failed(const error& failure) {
    const bool open =
        failure.code == error_code::timed_out || failure.code == error_code::connection_lost;
    const auto verdict = open ? outcome::unknown : outcome::refused;
    command_result result;
    result.value = {{"outcome", outcome_name(verdict)}, {"error", to_json(failure)}};
    result.exit_code = exit_code(verdict);
    return result;
}

command_result misused(const error& failure) {
    command_result result;
    result.value = {{"outcome", "usage"}, {"error", to_json(failure)}};
    result.exit_code = 2;
    return result;
}

command_result succeeded(json value) {
    command_result result;
    result.value = std::move(value);
    result.value["outcome"] = "done";
    return result;
}

std::string render_error(const json& failure, const text_style& style) {
    const auto where = text_at(failure, "where");
    std::string text = "vmplug: " + paint(style, ink::bad, text_at(failure, "code")) + ": ";
    if (!where.empty()) text += escape_for_terminal(where) + ": ";
    text += escape_for_terminal(text_at(failure, "text")) + "\n";
    const auto remedy = text_at(failure, "remedy");
    if (!remedy.empty()) text += "  " + escape_for_terminal(remedy) + "\n";
    return text;
}

std::string text_at(const json& value, const char* key) {
    const auto found = value.is_object() ? value.find(key) : value.end();
    if (found == value.end() || found->is_null()) return {};
    return found->is_string() ? found->get<std::string>() : printable_json(*found);
}

std::string join(const json& array, const char* between) {
    std::string text;
    for (const auto& each : array)
        text += (text.empty() ? "" : between) +
                (each.is_string() ? each.get<std::string>() : printable_json(each));
    return text;
}

} // namespace vmplug
