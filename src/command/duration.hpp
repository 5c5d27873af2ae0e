#pragma once

#include <vmplug/error.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace vmplug {

/// Parses `500ms`, `5s`, `2m`; up to one day.
/// Errors: `invalid_argument` for anything else.
result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// "37 us", "2.6 ms", "1.25 s".
std::string format_duration(std::chrono::microseconds duration);

} // namespace vmplug
