#pragma once

#include <string>
#include <string_view>

namespace vmplug {

/// One word for a shell, whatever is in it; as it is when it needs no quotes.
std::string quote_for_shell(std::string_view text);

/// A place below a device as a pattern for a shell, with a slash at its end: the numbers that the
/// kernel gives anew ("virtio3") can be any. Empty for the device itself.
std::string place_pattern(std::string_view place);

} // namespace vmplug
