#pragma once

#include "controller/step_kind.hpp"

#include <charconv>
#include <chrono>

namespace vmplug {

/// Waits for `time` on the executor of the calling coroutine.
boost::asio::awaitable<void> pause_for(std::chrono::milliseconds time);

/// The number in a field, 0 when it is missing or no number.
template <class Number>
Number number_field(const fields& values, const std::string& name) {
    const auto& text = field(values, name);
    Number number{};
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

} // namespace vmplug
