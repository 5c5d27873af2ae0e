#include "controller/steps/wait.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstring>

namespace vmplug {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds settle_deadline{5000};
constexpr milliseconds poll_interval{2};

} // namespace

boost::asio::awaitable<void> pause_for(std::chrono::milliseconds time) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
    co_await timer.async_wait(boost::asio::use_awaitable);
}

boost::asio::awaitable<bool> holds(const std::function<bool()>& condition) {
    const auto end = steady_clock::now() + settle_deadline;
    while (!condition()) {
        if (steady_clock::now() >= end) co_return false;
        co_await pause_for(poll_interval);
    }
    co_return true;
}

bool failed_with(const result<void>& done, int reason) {
    return done.has_error() && done.error().text == std::strerror(reason);
}

} // namespace vmplug
