#include "cli/watch.hpp"

#include "cli/terminal.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds interval{1000};
constexpr milliseconds reader_interval{50}; ///< how often it looks whether the reader is there

awaitable<void> pause(const command_context& context) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    const auto end = steady_clock::now() + interval;
    while (steady_clock::now() < end && !context.stop.stop_requested() && !reader_is_gone()) {
        timer.expires_after(reader_interval);
        co_await timer.async_wait(boost::asio::use_awaitable);
    }
}

} // namespace

awaitable<command_result> watch(const verb& row, command_context& context, const invocation& values,
                                std::function<bool(const nlohmann::json&)> show) {
    nlohmann::json before;
    command_result last;
    last.streamed = true;
    while (!context.stop.stop_requested() && !reader_is_gone()) {
        auto result = co_await find_handler(row)(context, values);
        if (result.exit_code != 0) co_return result;
        if (result.value != before && !show(result.value)) break;
        before = std::move(result.value);
        co_await pause(context);
    }
    co_return last;
}

} // namespace vmplug
