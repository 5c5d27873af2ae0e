#pragma once

#include <vmplug/error.hpp>

#include <chrono>
#include <string_view>

namespace vmplug {

/// Parses `500ms`, `5s`, `2m`; up to one day.
/// Errors: `invalid_argument` for anything else.
result<std::chrono::milliseconds> parse_duration(std::string_view text);

} // namespace vmplug
