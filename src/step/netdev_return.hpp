#pragma once

#include "step/step_kind.hpp"

namespace vmplug {

/// What was seen of the network interfaces of a function that has its driver again.
struct netdev_return {
    std::string first_name;        ///< of the first of them; empty: there is none
    std::vector<std::string> told; ///< what is not as it was before, a sentence each
};

/// Waits until a function that has its network driver again has its network interfaces (none are
/// waited for when `wanted` is empty), and sees to it that they are as before: MAC, MTU,
/// alternative names, name, network namespace.
///
/// Without udev the kernel gives the lowest free ethN, so two devices that come back in another
/// order would swap their names, and with them what is configured by name. Where udev runs, it has
/// the first word. A name that somebody else has by now, an interface that is up already, and one
/// that somebody has put into another namespace are left alone; that, and what went away with the
/// driver (up, addresses, routes, the bridge that it was in), is told.
///
/// Errors: `bind_failed` when no interface comes; `host_stuck`, and failures of the kernel that may
/// pass. The interface is then as far as it came.
boost::asio::awaitable<result<netdev_return>>
restore_netdevs(step_context& context, std::string device, std::vector<netdev_state> wanted);

/// Whether `restore_netdevs` would change anything.
boost::asio::awaitable<result<bool>> are_misplaced(step_context& context, std::string device,
                                                   std::vector<netdev_state> wanted);

/// Commands for a shell that do the same, from whatever state they are in.
std::vector<std::string> manual_netdev_commands(const std::string& device_path,
                                                const std::vector<netdev_state>& wanted);

} // namespace vmplug
