#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>

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

    /// Waits on the executor of the calling coroutine.
    virtual boost::asio::awaitable<void> wait(duration time) = 0;
};

} // namespace vmplug
