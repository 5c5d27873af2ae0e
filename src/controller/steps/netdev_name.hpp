#pragma once

#include "controller/step_kind.hpp"

namespace vmplug {

/// Waits until a function that has its network driver again has a netdev, and sees to it that this
/// one is called `name`, as before (empty: there is nothing to wait for).
///
/// Without udev the kernel gives the lowest free ethN, so two devices that come back in another
/// order would swap their names, and with them what is configured by name. Where udev runs, it has
/// the first word. A name that somebody else has by now, and an interface that is up, are left
/// alone.
///
/// Errors: `bind_failed` when there is no netdev; what renaming gives. The netdev keeps the other
/// name.
boost::asio::awaitable<result<void>> restore_netdev(step_context& context, std::string device_path,
                                                    std::string name);

/// Whether `restore_netdev` would rename.
boost::asio::awaitable<bool> is_misnamed(step_context& context, std::string device_path,
                                         std::string name);

} // namespace vmplug
