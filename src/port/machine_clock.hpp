#pragma once

#include "port/clock.hpp"

namespace vmplug {

/// The machine's own time.
class machine_clock final : public clock {
public:
    time_point now() const override;
    std::chrono::system_clock::time_point date() const override;
    boost::asio::awaitable<void> wait(duration time) override;
};

} // namespace vmplug
