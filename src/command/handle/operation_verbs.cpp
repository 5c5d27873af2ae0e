#include "command/handle/handlers.hpp"
#include "command/render/json_text.hpp"

#include <charconv>

#include <pwd.h>

namespace vmplug {
namespace {

using nlohmann::json;
using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr std::int64_t latest_count = 20;

binding_way binding_of(const invocation& asked) {
    const auto way = asked.text("--binding");
    if (way == "override") return binding_way::driver_override;
    return way == "new_id" ? binding_way::new_id : binding_way::automatic;
}

assignment_driver driver_of(const invocation& asked) {
    const auto driver = asked.text("--driver");
    if (driver == "vfio-pci") return assignment_driver::vfio_pci;
    return driver == "pci-assign" ? assignment_driver::pci_assign : assignment_driver::automatic;
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
    request.id = asked.text("--id");
    request.port = asked.text("--port");
    request.driver = driver_of(asked);
    request.binding = binding_of(asked);
    request.with_group = asked.has("--with-group");
    request.force = asked.has("--force");
    request.properties = asked.properties("--set");
    request.wait_guest = asked.duration("--wait-guest").value_or(request.wait_guest);
    if (!asked.has("--uid")) return request;
    const auto uid = read_user(asked.text("--uid"));
    if (uid.has_error()) return uid.error();
    request.uid = *uid;
    return request;
}

json base_of(const plan& planned, const operation_record& record) {
    json value{{"notes", planned.notes},
               {"subject", record.number ? record.subject : planned.subject},
               {"error", nullptr},
               {"operation", nullptr},
               {"steps", json::array()}};
    if (record.number) {
        const auto kept = to_json(record);
        value["operation"] = kept["number"];
        for (const char* name : {"kind", "steps", "error"})
            value[name] = kept[name];
        value["repeated"] = false;
        return value;
    }
    for (const auto& each : planned.steps)
        value["steps"].push_back({{"kind", each.kind},
                                  {"text", describe_step(each)},
                                  {"arguments", each.arguments},
                                  {"state", "planned"}});
    return value;
}

json value_of(const refused_operation& report) {
    auto value = base_of(report.planned, report.disbelieved);
    for (const auto& reason : report.reasons)
        value["refusals"].push_back(to_json(reason));
    if (!report.reasons.empty()) value["error"] = to_json(report.reasons.front());
    return value;
}

json value_of(const planned_operation& report) {
    return base_of(report.planned, {});
}

json value_of(const settled_operation& report) {
    const auto& record = report.record;
    auto value = base_of(report.planned, record);
    // Of a mere reading nothing is to be settled; of an operation that began, its outcome is.
    if (record.ended == outcome::unknown && record.failure && record.failure->remedy.empty() &&
        record.failure->advised == advice::none)
        value["error"]["remedy"] = "what became of it is not known: run `vmplug recover`, which "
                                   "looks and settles it";
    return value;
}

json value_of(const left_operation& report) {
    auto value = base_of({}, report.record);
    value["refusals"].push_back(to_json(report.reason));
    value["error"] = to_json(report.reason);
    return value;
}

json value_of(const previewed_operation& report) {
    auto value = base_of({}, report.record);
    value["would"] = report.would;
    for (std::size_t i = 0; i < report.seen.size(); ++i)
        if (!report.seen[i].empty()) value["steps"][i]["seen"] = report.seen[i];
    return value;
}

bool is_preview(const operation_report& report) {
    return std::holds_alternative<planned_operation>(report) ||
           std::holds_alternative<previewed_operation>(report);
}

command_result to_result(const operation_report& report, steady_clock::time_point begin) {
    command_result result;
    auto& value = result.value;
    value = std::visit([](const auto& each) { return value_of(each); }, report);
    value["duration_us"] =
        std::chrono::duration_cast<microseconds>(steady_clock::now() - begin).count();
    if (report.is_repeated()) value["repeated"] = true;
    if (report.ended() == outcome::stuck) value["manual_commands"] = manual_undo(report.record());
    if (is_preview(report)) {
        value["outcome"] = "planned";
        return result;
    }
    // What is left alone has not ended, and nothing was done with it.
    const auto ended = report.ended().value_or(outcome::refused);
    value["outcome"] = outcome_name(ended);
    result.exit_code = exit_code(ended);
    return result;
}

bool runs_elsewhere(const operation_report& report) {
    const auto* left = std::get_if<left_operation>(&report);
    return left && (left->reason.code == error_code::device_busy ||
                    left->reason.code == error_code::guest_not_ready);
}

operation_options options_of(const command_context& context, const invocation& asked) {
    operation_options options;
    options.request_id = asked.text("--request-id");
    options.dry_run = asked.has("--dry-run");
    options.progress = context.progress;
    options.stop = context.stop;
    return options;
}

} // namespace

command_task run_attach(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    auto request = read_attach(asked);
    if (request.has_error()) co_return misused(request.error());
    auto options = options_of(context, asked);
    options.deadline = asked.duration("--timeout");
    auto report = co_await context.control.attach(asked.text("VM"), asked.text("DEVICE"),
                                                  std::move(*request), std::move(options));
    co_return to_result(report, begin);
}

command_task run_detach(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    detach_request request;
    request.id = asked.text("ID");
    request.keep_bound = asked.has("--keep-bound");
    request.wait_guest = asked.duration("--timeout").value_or(request.wait_guest);
    auto report = co_await context.control.detach(asked.text("VM"), std::move(request),
                                                  options_of(context, asked));
    co_return to_result(report, begin);
}

command_task run_bind(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    bind_request request;
    if (asked.text("--driver") == "pci-stub") request.driver = assignment_driver::pci_assign;
    request.binding = binding_of(asked);
    request.with_group = asked.has("--with-group");
    request.force = asked.has("--force");
    auto report =
        co_await context.control.bind(asked.text("DEVICE"), request, options_of(context, asked));
    co_return to_result(report, begin);
}

command_task run_release(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    auto report =
        co_await context.control.release(asked.text("DEVICE"), options_of(context, asked));
    co_return to_result(report, begin);
}

command_task run_recover(command_context& context, const invocation& asked) {
    const auto begin = steady_clock::now();
    const bool dry_run = asked.has("--dry-run");
    auto reports = co_await context.control.recover(options_of(context, asked));
    if (reports.has_error()) co_return failed(reports.error());
    auto result = succeeded({{"operations", json::array()}, {"dry_run", dry_run}});
    for (const auto& report : *reports) {
        auto each = to_result(report, begin);
        const bool settled =
            report.ended() == outcome::done || report.ended() == outcome::rolled_back;
        if (dry_run && runs_elsewhere(report)) each.value["outcome"] = "running";
        if (!settled && !dry_run) {
            // What still runs elsewhere is nothing to settle.
            const bool runs = runs_elsewhere(report);
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
    const auto one = asked.number("OP");
    result<std::vector<operation_record>> records = std::vector<operation_record>();
    if (one) {
        auto record = context.control.load_operation(*one);
        if (record.has_error()) co_return failed(record.error());
        records->push_back(std::move(*record));
    } else {
        const auto limit = asked.number("--limit").value_or(latest_count);
        records = context.control.latest_operations(static_cast<std::size_t>(limit));
    }
    if (records.has_error()) co_return failed(records.error());
    auto result = succeeded({{"operations", json::array()}, {"detail", one.has_value()}});
    for (const auto& record : *records) {
        auto each = to_json(record);
        each["running"] = context.control.is_running(record);
        result.value["operations"].push_back(std::move(each));
    }
    co_return result;
}

} // namespace vmplug
