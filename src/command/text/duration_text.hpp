#pragma once

#include <chrono>
#include <string>

namespace vmplug {

/// "37 us", "2.6 ms", "1.25 s".
std::string format_duration(std::chrono::microseconds duration);

} // namespace vmplug
