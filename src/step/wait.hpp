#pragma once

#include "step/step_kind.hpp"

#include <charconv>
#include <chrono>
#include <functional>

namespace vmplug {

/// Polls for what the kernel or udev does a moment after a bind, 5 s long. Returns whether it came.
boost::asio::awaitable<bool> holds(clock& time, const std::function<bool()>& condition);

/// Whether the kernel gave this errno as its reason.
bool failed_with(const result<void>& done, int reason);

/// The number in a field, 0 when it is missing or no number.
template <class Number>
Number number_field(const fields& values, const std::string& name) {
    const auto& text = field(values, name);
    Number number{};
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

} // namespace vmplug
