#include "command/render/json_text.hpp"

#include "command/render/remedies.hpp"

namespace vmplug {

using nlohmann::json;

namespace {

// Both may hold what a caller or QEMU sent, however long.
constexpr std::size_t where_length_max = 300;
constexpr std::size_t text_length_max = 2000;

} // namespace

json to_json(const error& failure) {
    return {{"code", code_name(failure.code)},
            {"where", where_of(failure).substr(0, where_length_max)},
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

} // namespace vmplug
