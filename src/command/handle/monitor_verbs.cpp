#include "command/handle/handlers.hpp"
#include "command/render/json_text.hpp"
#include "command/typing/qmp_arguments.hpp"
#include "command/typing/qmp_call.hpp"
#include "command/typing/qmp_typing.hpp"
#include "qmp/message.hpp"

#include <vmplug/monitor.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace vmplug {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds call_deadline{30'000};
constexpr std::chrono::hours idle{1};
constexpr milliseconds reconnect_interval{200};

/// Hands on the events of one connection. Returns why it ended: asked to, or the monitor's end.
boost::asio::awaitable<result<void>> emit_events(command_context& context, monitor& connection) {
    auto events = connection.subscribe();
    std::uint64_t dropped = 0;
    while (!context.stop.stop_requested()) {
        auto event = co_await events.next(idle, context.stop);
        if (event.has_error()) co_return event.error();
        if (events.dropped() != dropped) {
            dropped = events.dropped();
            context.emit({{"dropped", dropped}});
        }
        if (!*event) continue;
        json value{{"event", (*event)->name}, {"timestamp_us", (*event)->timestamp_us}};
        value["data"] = (*event)->data.empty() ? json() : json::parse((*event)->data);
        context.emit(value);
    }
    co_return result<void>{};
}

/// Waits until the guest has a monitor again, or until it is to stop.
boost::asio::awaitable<std::unique_ptr<monitor>> await_monitor(command_context& context,
                                                               std::string guest) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    while (!context.stop.stop_requested()) {
        auto connected = co_await context.control.connect(guest);
        if (connected.has_value()) co_return std::move(*connected);
        timer.expires_after(reconnect_interval);
        co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_return nullptr;
}

} // namespace

command_task run_events(command_context& context, const invocation& asked) {
    auto first = co_await context.control.connect(asked.text("VM"));
    if (first.has_error()) co_return failed(first.error());
    auto connection = std::move(*first);
    while (connection) {
        const auto over = co_await emit_events(context, *connection);
        if (over.has_error() && !asked.has("--watch")) co_return failed(over.error());
        if (over.has_value()) break;
        context.emit({{"monitor", "gone"}});
        connection.reset();
        connection = co_await await_monitor(context, asked.text("VM"));
        if (connection) context.emit({{"monitor", "connected"}});
    }
    command_result result;
    result.streamed = true;
    co_return result;
}

command_task run_qmp(command_context& context, const invocation& asked) {
    auto words = asked.texts("KEY=VALUE");
    const auto form = read_qmp_arguments(words, type_as_json);
    if (form.has_error()) co_return misused(form.error());
    const auto deadline = asked.duration("--timeout").value_or(call_deadline);
    auto connected = co_await context.control.connect(asked.text("VM"));
    if (connected.has_error()) co_return failed(connected.error());
    auto types = ask_types(**connected, deadline);
    const auto arguments =
        co_await type_arguments(std::move(types), asked.text("COMMAND"), std::move(words));
    if (arguments.has_error()) co_return failed(arguments.error());
    auto text = arguments->empty() ? std::string() : qmp::format_json(*arguments);
    auto reply =
        co_await call_written(**connected, asked.text("COMMAND"), std::move(text), deadline);
    if (reply.has_error()) co_return failed(reply.error());
    json value = json::object();
    value["return"] = std::move(*reply);
    co_return succeeded(std::move(value));
}

command_task run_hmp(command_context& context, const invocation& asked) {
    const auto deadline = asked.duration("--timeout").value_or(call_deadline);
    std::string line;
    for (const auto& word : asked.texts("LINE"))
        line += (line.empty() ? "" : " ") + word;
    auto output = co_await context.control.run_hmp(asked.text("VM"), std::move(line), deadline);
    if (output.has_error()) co_return failed(output.error());
    co_return succeeded({{"output", *output}});
}

} // namespace vmplug
