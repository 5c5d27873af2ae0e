#include "command/duration.hpp"
#include "command/handlers.hpp"
#include "command/json_colours.hpp"
#include "command/json_text.hpp"
#include "command/printable_json.hpp"
#include "command/qmp_arguments.hpp"
#include "command/qmp_call.hpp"
#include "command/qmp_typing.hpp"
#include "command/side_by_side.hpp"
#include "command/terminal_text.hpp"
#include "command/trees.hpp"
#include "qmp/message.hpp"

#include <vmplug/monitor.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <ctime>

#include <unistd.h>

namespace vmplug {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds call_deadline{30'000};
/// Of what a list of guests shows of one.
constexpr milliseconds look_deadline{2'000};
/// How often a wait looks whether it was asked to stop.
constexpr milliseconds stop_interval{100};
constexpr milliseconds reconnect_interval{200};

/// The first line that a human monitor prints, nothing when it fails.
boost::asio::awaitable<json> ask_line(command_context& context, std::string pid, std::string line) {
    const auto output =
        co_await context.control.run_hmp(std::move(pid), std::move(line), look_deadline);
    if (output.has_error()) co_return json();
    co_return output->substr(0, output->find_first_of("\r\n"));
}

boost::asio::awaitable<void> ask_state_by_hmp(command_context& context, std::string pid,
                                              json& guest) {
    constexpr std::string_view label = "VM status: ";
    guest["version"] = co_await ask_line(context, pid, "info version");
    auto state = co_await ask_line(context, pid, "info status");
    if (state.is_string() && state.get<std::string>().starts_with(label))
        guest["state"] = state.get<std::string>().substr(label.size());
}

/// What a free monitor answers about its guest; a busy or silent one is reported as it is, and one
/// that somebody else is to connect to first is left alone.
boost::asio::awaitable<void> ask_state(command_context& context, qemu_process process,
                                       json& guest) {
    std::string address, human;
    for (const auto& monitor : process.monitors)
        if (monitor.unusable.empty() && (monitor.held_by == 0 || monitor.held_by == ::getpid()))
            (monitor.speaks == qemu_monitor::protocol::qmp ? address : human) = monitor.address;
    guest["state"] = nullptr;
    guest["version"] = nullptr;
    if (address.empty() && !human.empty())
        co_await ask_state_by_hmp(context, std::to_string(process.identity.pid), guest);
    if (address.empty()) co_return;
    auto connected = co_await context.control.connect(process, address);
    if (connected.has_error()) {
        guest["error"] = to_json(connected.error());
        co_return;
    }
    guest["version"] = (*connected)->version();
    const auto status = co_await (*connected)->call("query-status", "", look_deadline);
    if (status.has_error())
        guest["error"] = to_json(status.error());
    else
        guest["state"] = text_at(*status, "status");
}

std::string event_line(const monitor_event& event) {
    const std::time_t seconds = event.timestamp_us / 1'000'000;
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char text[32];
    const auto size = std::strftime(text, sizeof text, "%T", &local);
    auto line = std::string(text, size) + "  " + event.name + "  " + event.data;
    return escape_for_terminal(line) + "\n";
}

} // namespace

command_task run_vms(command_context& context, const invocation&) {
    auto result = succeeded({{"guests", json::array()}});
    const auto qemus = context.control.read_qemus(true);
    if (qemus.has_error()) co_return failed(qemus.error());
    std::vector<json> guests;
    for (const auto& process : *qemus)
        guests.push_back(to_json(process));
    // At once: one that does not answer keeps nobody else waiting, and not for long.
    std::vector<boost::asio::awaitable<void>> asking;
    for (std::size_t i = 0; i < guests.size(); ++i)
        asking.push_back(ask_state(context, (*qemus)[i], guests[i]));
    co_await side_by_side(std::move(asking));
    result.value["guests"] = std::move(guests);
    co_return result;
}

std::string render_vms(const json& value, const text_style& style) {
    if (!value.contains("guests")) return {};
    if (value["guests"].empty()) return "No QEMU runs here.\n";
    text_table table({"NAME", "PID", "USER", "VERSION", "STATE", "MACHINE", "MONITORS"});
    for (const auto& guest : value["guests"]) {
        std::string monitors;
        for (const auto& each : guest["monitors"]) {
            monitors += (monitors.empty() ? "" : ", ") + text_at(each, "address");
            if (!text_at(each, "unusable").empty())
                monitors += " (unusable: " + text_at(each, "unusable") + ")";
            if (!each["held_by"].is_null())
                monitors += " (held by " + text_at(each["held_by"], "pid") + ": " +
                            text_at(each["held_by"], "command").substr(0, 40) + ")";
        }
        auto state = text_at(guest, "state");
        if (!text_at(guest, "waits_for").empty()) state = "waits for its manager";
        if (guest.contains("error")) state = "does not answer";
        table.add({text_at(guest, "name"),
                   text_at(guest, "pid"),
                   text_at(guest, "user"),
                   text_at(guest, "version"),
                   {state, state == "running" ? ink::good : ink::doubtful},
                   text_at(guest, "machine"),
                   monitors.empty() ? "none" : monitors});
    }
    return table.format(style);
}

command_task run_ports(command_context& context, const invocation& asked) {
    const auto view = co_await context.control.query_guest(asked.value("VM"));
    if (view.has_error()) co_return failed(view.error());
    auto result = succeeded({{"guest", view->facts.name},
                             {"ports", json::array()},
                             {"devices", json::array()},
                             {"tree", asked.has("--tree")}});
    for (const auto& device : view->facts.devices)
        result.value["devices"].push_back(to_json(device));
    for (const auto& port : view->facts.ports)
        result.value["ports"].push_back(to_json(port));
    co_return result;
}

namespace {

table_cell port_state(const json& port) {
    if (!port.value("takes_hot_add", false)) return {text_at(port, "why_not"), ink::quiet};
    if (port.value("free", false)) return {"free", ink::good};
    if (port.value("full", false)) return {"full: no slot is left", ink::doubtful};
    return {"occupied by " + join(port["occupants"], ", "), ink::doubtful};
}

} // namespace

std::string render_ports(const json& value, const text_style& style) {
    if (!value.contains("ports")) return {};
    if (value.value("tree", false)) return draw(picture_guest(value), style);
    text_table table({"BUS", "TYPE", "STATE"});
    for (const auto& port : value["ports"]) {
        table.add({text_at(port, "bus"), text_at(port, "type"), port_state(port)});
    }
    return table.format(style);
}

command_task run_list(command_context& context, const invocation& asked) {
    const auto records = context.control.assignments();
    if (records.has_error()) co_return failed(records.error());
    const auto open = context.control.open_operations();
    if (open.has_error()) co_return failed(open.error());
    const auto wanted = asked.value("VM");
    auto result = succeeded({{"assignments", json::array()}});
    auto& list = result.value["assignments"];
    const auto add = [&](const operation_record& record, std::string state) {
        json entry = record.subject;
        entry["operation"] = record.number;
        entry["state"] = std::move(state);
        if (wanted.empty() || names_guest(record.subject, wanted)) list.push_back(std::move(entry));
    };
    for (const auto& record : *records) {
        const auto same = [&](const operation_record& other) {
            return other.releases == record.number;
        };
        const auto leaving = std::ranges::find_if(*open, same);
        std::string state = record.kind == operation_kind::bind ? "bound" : "assigned";
        if (context.control.has_ended(record)) state = "guest_gone";
        if (leaving != open->end())
            state = leaving->ended ? std::string(outcome_name(*leaving->ended)) : "detaching";
        add(record, state);
    }
    for (const auto& record : *open)
        if (record.kind == operation_kind::attach)
            add(record, record.ended ? std::string(outcome_name(*record.ended)) : "attaching");
    co_return result;
}

std::string render_list(const json& value, const text_style& style) {
    if (!value.contains("assignments")) return {};
    if (value["assignments"].empty()) return "vmplug has assigned no device.\n";
    text_table table({"DEVICE", "GUEST", "ID", "PORT", "STATE"});
    for (const auto& each : value["assignments"]) {
        auto state = text_at(each, "state");
        if (state == "guest_gone") state = "its guest is gone: run vmplug recover";
        table.add({text_at(each, "device"),
                   text_at(each, "guest"),
                   text_at(each, "id"),
                   text_at(each, "port"),
                   {state, state == "assigned" || state == "bound" ? ink::good : ink::doubtful}});
    }
    return table.format(style);
}

namespace {

/// Hands on the events of one connection. Returns why it ended: asked to, or the monitor's end.
boost::asio::awaitable<result<void>> emit_events(command_context& context, monitor& connection) {
    auto events = connection.subscribe();
    std::uint64_t dropped = 0;
    while (!context.stop_requested()) {
        auto event = co_await events.next(stop_interval);
        if (event.has_error()) co_return event.error();
        if (events.dropped() != dropped) {
            dropped = events.dropped();
            context.emit({{"dropped", dropped}}, "(" + std::to_string(dropped) + " events lost)\n");
        }
        if (!*event) continue;
        json value{{"event", (*event)->name}, {"timestamp_us", (*event)->timestamp_us}};
        value["data"] = (*event)->data.empty() ? json() : json::parse((*event)->data);
        context.emit(value, event_line(**event));
    }
    co_return result<void>{};
}

/// Waits until the guest has a monitor again, or until it is to stop.
boost::asio::awaitable<std::unique_ptr<monitor>> await_monitor(command_context& context,
                                                               std::string guest) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    while (!context.stop_requested()) {
        auto connected = co_await context.control.connect(guest);
        if (connected.has_value()) co_return std::move(*connected);
        timer.expires_after(reconnect_interval);
        co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_return nullptr;
}

} // namespace

command_task run_events(command_context& context, const invocation& asked) {
    auto first = co_await context.control.connect(asked.value("VM"));
    if (first.has_error()) co_return failed(first.error());
    auto connection = std::move(*first);
    while (connection) {
        const auto over = co_await emit_events(context, *connection);
        if (over.has_error() && !asked.has("--watch")) co_return failed(over.error());
        if (over.has_value()) break;
        context.emit({{"monitor", "gone"}}, "(the monitor is gone; waiting for it)\n");
        connection.reset();
        connection = co_await await_monitor(context, asked.value("VM"));
        if (connection) context.emit({{"monitor", "connected"}}, "(connected again)\n");
    }
    command_result result;
    result.streamed = true;
    co_return result;
}

command_task run_qmp(command_context& context, const invocation& asked) {
    auto words = asked.all("KEY=VALUE");
    const auto form = read_qmp_arguments(words, type_as_json);
    auto deadline = result<milliseconds>(call_deadline);
    if (asked.has("--timeout")) deadline = parse_duration(asked.value("--timeout"));
    if (form.has_error()) co_return misused(form.error());
    if (deadline.has_error()) co_return misused(deadline.error());
    auto connected = co_await context.control.connect(asked.value("VM"));
    if (connected.has_error()) co_return failed(connected.error());
    auto types = ask_types(**connected, *deadline);
    const auto arguments =
        co_await type_arguments(std::move(types), asked.value("COMMAND"), std::move(words));
    if (arguments.has_error()) co_return failed(arguments.error());
    auto text = arguments->empty() ? std::string() : qmp::format_json(*arguments);
    auto reply =
        co_await call_written(**connected, asked.value("COMMAND"), std::move(text), *deadline);
    if (reply.has_error()) co_return failed(reply.error());
    json value = json::object();
    value["return"] = std::move(*reply);
    co_return succeeded(std::move(value));
}

std::string render_qmp(const json& value, const text_style& style) {
    if (!value.contains("return")) return {};
    return paint_json(style, printable_json(value["return"], 2) + "\n");
}

std::string render_nothing(const json&, const text_style&) {
    return {};
}

} // namespace vmplug
