#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <stop_token>

namespace vmplug {

/// Time, as operations wait for it. A simulation gives one in which an hour passes at once.
class clock {
public:
    using duration = std::chrono::milliseconds;
    using time_point = std::chrono::steady_clock::time_point;

    virtual ~clock() = default;

    virtual time_point now() const = 0;

    /// For records that a person reads.
    virtual std::chrono::system_clock::time_point date() const = 0;

    /// Waits on the executor of the calling coroutine, no longer than until a stop is asked for.
    virtual boost::asio::awaitable<void> wait(duration time, std::stop_token stop) = 0;
    boost::asio::awaitable<void> wait(duration time) { return wait(time, {}); }
};

} // namespace vmplug
