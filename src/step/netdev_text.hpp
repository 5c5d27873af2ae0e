#pragma once

#include "port/netdev_state.hpp"

#include <vmplug/error.hpp>

namespace vmplug {

/// The JSON text that the journal keeps of them; empty for none.
std::string format_netdevs(const std::vector<netdev_state>& netdevs);

/// Errors: `journal_corrupt` for text that holds anything that no kernel would have told.
result<std::vector<netdev_state>> parse_netdevs(const std::string& text);

} // namespace vmplug
