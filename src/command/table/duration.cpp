#include "command/table/duration.hpp"

#include <charconv>
#include <cstdint>

namespace vmplug {

using std::chrono::milliseconds;

result<milliseconds> parse_duration(std::string_view text) {
    std::uint32_t number = 0;
    const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    const auto unit = text.substr(static_cast<std::size_t>(stop - text.data()));
    const std::int64_t factor = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : 0;
    constexpr milliseconds longest = std::chrono::hours(24);
    const milliseconds duration(factor * number);
    if (failure == std::errc{} && factor != 0 && duration <= longest) return duration;
    return error{error_code::invalid_argument, std::string(text), "this is not a duration",
                 "write a whole number and ms, s or m, for example 500ms, 5s, 2m (at most 24 h)"};
}

} // namespace vmplug
