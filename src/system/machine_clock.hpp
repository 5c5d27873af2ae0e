#pragma once

#include "port/clock.hpp"

namespace vmplug {

/// The machine's own time.
class machine_clock final : public clock {
public:
    time_point now() const override;
    std::chrono::system_clock::time_point date() const override;
    using clock::wait;
    boost::asio::awaitable<void> wait(duration time, std::stop_token stop) override;
};

} // namespace vmplug
