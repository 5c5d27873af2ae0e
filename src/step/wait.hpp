#pragma once

#include "step/step_kind.hpp"

#include <chrono>
#include <functional>

namespace vmplug {

/// Polls for what the kernel or udev does a moment after a bind, 5 s long. Returns whether it came.
boost::asio::awaitable<bool> holds(clock& time, const std::function<bool()>& condition);

/// Whether the kernel gave this errno as its reason.
bool failed_with(const result<void>& done, int reason);

} // namespace vmplug
