#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <stop_token>
#include <utility>

namespace vmplug {

/// What is left between two times, in whole milliseconds, rounded up: as long as any is left it is
/// not over. 0 when it is.
inline std::chrono::milliseconds time_left(std::chrono::steady_clock::time_point end,
                                           std::chrono::steady_clock::time_point now) {
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(end - now),
                    std::chrono::milliseconds(0));
}

/// How long something is waited for: until the time is over, or until a stop is asked for.
class call_limit {
public:
    using duration = std::chrono::milliseconds;

    call_limit(std::convertible_to<duration> auto most, std::stop_token stop = {})
        : most_(most), stop_(std::move(stop)) {}

    duration most() const { return most_; }
    const std::stop_token& stop() const { return stop_; }

    /// The same with less time.
    call_limit within(duration most) const { return {std::min(most, most_), stop_}; }

private:
    duration most_;
    std::stop_token stop_;
};

} // namespace vmplug
