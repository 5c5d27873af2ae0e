#include "system/machine_clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace vmplug {

clock::time_point machine_clock::now() const {
    return std::chrono::steady_clock::now();
}

std::chrono::system_clock::time_point machine_clock::date() const {
    return std::chrono::system_clock::now();
}

boost::asio::awaitable<void> machine_clock::wait(duration time, std::stop_token stop) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
    const std::stop_callback wake(stop, [&timer] { timer.cancel(); });
    if (stop.stop_requested()) co_return;
    co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
}

} // namespace vmplug
