#include "command/handle/handlers.hpp"
#include "command/render/json_text.hpp"
#include "command/table/duration.hpp"

#include <charconv>

#include <pwd.h>

namespace vmplug {
namespace {

using nlohmann::json;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Reads a duration option; keeps `fallback` when it is not given.
result<milliseconds> read_duration(const invocation& asked, const char* name,
                                   milliseconds fallback) {
    if (!asked.has(name)) return fallback;
    return parse_duration(asked.value(name));
}

result<binding_way> read_binding(const invocation& asked) {
    const auto text = asked.value("--binding");
    if (text.empty()) return binding_way::automatic;
    if (text == "override") return binding_way::driver_override;
    if (text == "new_id") return binding_way::new_id;
    return error{error_code::invalid_argument, "--binding " + text.substr(0, 100),
                 "there is no such way", "write override or new_id"};
}

result<assignment_driver> read_driver(const invocation& asked) {
    const auto text = asked.value("--driver");
    if (text.empty() || text == "auto") return assignment_driver::automatic;
    if (text == "vfio-pci") return assignment_driver::vfio_pci;
    if (text == "pci-assign" || text == "kvm-pci-assign") return assignment_driver::pci_assign;
    return error{error_code::invalid_argument, "--driver " + text.substr(0, 100),
                 "there is no such driver", "write auto, vfio-pci or pci-assign"};
}

result<fields> read_properties(const invocation& asked) {
    fields properties;
    for (const auto& text : asked.all("--set")) {
        const auto equals = text.find('=');
        if (equals == 0 || equals == text.npos)
            return error{error_code::invalid_argument,
                         "--set " + text.substr(0, 100),
                         "this is not PROP=VALUE",
                         {}};
        properties[text.substr(0, equals)] = text.substr(equals + 1);
    }
    return properties;
}

/// A user's name or number.
result<std::uint32_t> read_user(const std::string& text) {
    std::uint32_t uid = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), uid);
    if (!text.empty() && failure == std::errc() && end == text.data() + text.size()) return uid;
    if (const passwd* entry = ::getpwnam(text.c_str())) return entry->pw_uid;
    return error{
        error_code::invalid_argument, "--uid " + text.substr(0, 100), "there is no such user", {}};
}

result<attach_request> read_attach(const invocation& asked) {
    attach_request request;
    request.id = asked.value("--id");
    request.port = asked.value("--port");
    request.with_group = asked.has("--with-group");
    request.force = asked.has("--force");
    const auto driver = read_driver(asked);
    if (driver.has_error()) return driver.error();
    request.driver = *driver;
    if (asked.has("--uid")) {
        const auto uid = read_user(asked.value("--uid"));
        if (uid.has_error()) return uid.error();
        request.uid = *uid;
    }
    const auto binding = read_binding(asked);
    if (binding.has_error()) return binding.error();
    request.binding = *binding;
    auto properties = read_properties(asked);
    if (properties.has_error()) return properties.error();
    request.properties = std::move(*properties);
    const auto wait = read_duration(asked, "--wait-guest", request.wait_guest);
    if (wait.has_error()) return wait.error();
    request.wait_guest = *wait;
    const auto deadline = read_duration(asked, "--timeout", request.add_deadline);
    if (deadline.has_error()) return deadline.error();
    request.add_deadline = *deadline;
    return request;
}

command_result to_result(const operation_report& report, steady_clock::time_point begin) {
    command_result result;
    auto& value = result.value;
    value["duration_us"] =
        std::chrono::duration_cast<microseconds>(steady_clock::now() - begin).count();
    value["notes"] = report.planned.notes;
    value["subject"] = report.record.number ? report.record.subject : report.planned.subject;
    value["error"] = nullptr;
    value["operation"] = nullptr;
    value["steps"] = json::array();
    if (report.record.number) {
        const auto record = to_json(report.record);
        value["operation"] = record["number"];
        value["kind"] = record["kind"];
        value["steps"] = record["steps"];
        value["error"] = record["error"];
        value["repeated"] = report.repeated;
        if (!report.would.empty()) value["would"] = report.would;
        for (std::size_t i = 0; i < report.seen.size(); ++i)
            if (!report.seen[i].empty()) value["steps"][i]["seen"] = report.seen[i];
    } else {
        for (const auto& each : report.planned.steps)
            value["steps"].push_back({{"kind", each.kind},
                                      {"text", describe_step(each)},
                                      {"arguments", each.arguments},
                                      {"state", "planned"}});
    }
    for (const auto& refusal : report.refusals)
        value["refusals"].push_back(to_json(refusal));
    if (!report.refusals.empty()) value["error"] = to_json(report.refusals.front());
    // Of a mere reading nothing is to be settled; of an operation that began, its outcome is.
    if (report.ended == outcome::unknown && report.record.failure &&
        report.record.failure->remedy.empty())
        value["error"]["remedy"] = "what became of it is not known: run `vmplug recover`, which "
                                   "looks and settles it";
    value["outcome"] = report.ended ? json(outcome_name(*report.ended)) : json("planned");
    if (report.ended == outcome::stuck) value["manual_commands"] = manual_undo(report.record);
    result.exit_code = report.ended ? exit_code(*report.ended) : 0;
    return result;
}

} // namespace

command_task run_attach(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    auto request = read_attach(asked);
    if (request.has_error()) co_return misused(request.error());
    auto report = co_await context.control.attach(asked.value("VM"), asked.value("DEVICE"),
                                                  std::move(*request), asked.value("--request-id"),
                                                  asked.has("--dry-run"));
    co_return to_result(report, begin);
}

command_task run_detach(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    detach_request request;
    request.id = asked.value("ID");
    request.keep_bound = asked.has("--keep-bound");
    const auto wait = read_duration(asked, "--timeout", request.wait_guest);
    if (wait.has_error()) co_return misused(wait.error());
    request.wait_guest = *wait;
    auto report = co_await context.control.detach(
        asked.value("VM"), std::move(request), asked.value("--request-id"), asked.has("--dry-run"));
    co_return to_result(report, begin);
}

command_task run_bind(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    bind_request request;
    const auto name = asked.value("--driver");
    if (!name.empty() && name != "vfio-pci" && name != "pci-stub")
        co_return misused({error_code::invalid_argument, "--driver " + name.substr(0, 100),
                           "there is no such driver", "write vfio-pci or pci-stub"});
    if (name == "pci-stub") request.driver = assignment_driver::pci_assign;
    const auto binding = read_binding(asked);
    if (binding.has_error()) co_return misused(binding.error());
    request.binding = *binding;
    request.with_group = asked.has("--with-group");
    request.force = asked.has("--force");
    auto report =
        co_await context.control.bind(asked.value("DEVICE"), request, asked.has("--dry-run"));
    co_return to_result(report, begin);
}

command_task run_release(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    auto report = co_await context.control.release(asked.value("DEVICE"), asked.has("--dry-run"));
    co_return to_result(report, begin);
}

command_task run_recover(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    const bool dry_run = asked.has("--dry-run");
    auto reports = co_await context.control.recover(dry_run);
    if (reports.has_error()) co_return failed(reports.error());
    auto result = succeeded({{"operations", json::array()}, {"dry_run", dry_run}});
    for (const auto& report : *reports) {
        auto each = to_result(report, begin);
        const bool settled = report.ended == outcome::done || report.ended == outcome::rolled_back;
        if (!settled && !dry_run) {
            // What still runs elsewhere is nothing to settle.
            const bool runs = !report.ended && !report.refusals.empty();
            const int code = runs ? 0 : each.exit_code;
            if (runs) each.value["outcome"] = "running";
            if (code > result.exit_code) {
                result.exit_code = code;
                result.value["outcome"] = each.value["outcome"];
                result.value["error"] = each.value["error"];
            }
        }
        result.value["operations"].push_back(std::move(each.value));
    }
    co_return result;
}

command_task run_operations(command_context& context, const invocation& asked) {
    std::int64_t number = 20;
    const bool one = asked.has("OP");
    const auto text = one ? asked.value("OP") : asked.value("--limit");
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (!text.empty() && (bad != std::errc() || end != text.data() + text.size() || number < 1))
        co_return misused({error_code::invalid_argument,
                           text.substr(0, 100),
                           "this is no number of an operation",
                           {}});
    result<std::vector<operation_record>> records = std::vector<operation_record>();
    if (one) {
        auto record = context.control.load_operation(number);
        if (record.has_error()) co_return failed(record.error());
        records->push_back(std::move(*record));
    } else {
        records = context.control.latest_operations(static_cast<std::size_t>(number));
    }
    if (records.has_error()) co_return failed(records.error());
    auto result = succeeded({{"operations", json::array()}, {"detail", one}});
    for (const auto& record : *records) {
        auto each = to_json(record);
        each["running"] = context.control.is_running(record);
        result.value["operations"].push_back(std::move(each));
    }
    co_return result;
}

} // namespace vmplug
