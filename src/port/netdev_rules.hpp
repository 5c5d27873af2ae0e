#pragma once

#include <string>
#include <string_view>

namespace vmplug {

/// Whether the kernel takes `name` for an interface (dev_valid_name), or as an alternative one. Of
/// those, it takes control characters too; we do not.
bool is_netdev_name(std::string_view name);
bool is_alternative_name(std::string_view name);

/// "52:54:00:12:34:56" as bytes; empty when the text is no such address.
std::string parse_mac(std::string_view text);

} // namespace vmplug
