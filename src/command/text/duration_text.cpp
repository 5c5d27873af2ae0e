#include "command/text/duration_text.hpp"

#include <fmt/format.h>

namespace vmplug {

std::string format_duration(std::chrono::microseconds duration) {
    const auto us = static_cast<double>(duration.count());
    if (us < 1e3) return fmt::format("{:.0f} us", us);
    if (us < 1e6) return fmt::format("{:.1f} ms", us / 1e3);
    return fmt::format("{:.2f} s", us / 1e6);
}

} // namespace vmplug
