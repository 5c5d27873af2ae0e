#include "command/handle/handlers.hpp"
#include "command/render/json_text.hpp"
#include "command/text/json_member.hpp"
#include "port/side_by_side.hpp"

#include <vmplug/monitor.hpp>

#include <algorithm>

#include <unistd.h>

namespace vmplug {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

/// Of what a list of guests shows of one.
constexpr milliseconds look_deadline{2'000};

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

command_task run_ports(command_context& context, const invocation& asked) {
    const auto view = co_await context.control.query_guest(asked.text("VM"));
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

command_task run_list(command_context& context, const invocation& asked) {
    const auto records = context.control.assignments();
    if (records.has_error()) co_return failed(records.error());
    const auto open = context.control.open_operations();
    if (open.has_error()) co_return failed(open.error());
    const auto wanted = asked.text("VM");
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

} // namespace vmplug
