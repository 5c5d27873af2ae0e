#pragma once

#include "step/set_binding.hpp"
#include "step/step_kind.hpp"

namespace vmplug {

// How a function gets from one driver to another; each starts from whatever state there is.

/// The driver and the override that it has now; nothing else of the state.
boost::asio::awaitable<result<binding_state>> read_binding(step_context& context,
                                                           std::string device);

/// Brings the function to `target`, so that it serves for applying, for reverting, and for going on
/// after a crash. Errors: `bind_failed`, `driver_unavailable`, those of the kernel.
///
/// The override is written first: from then on no other driver can take the device, whenever we
/// die. When the device goes back, the restored override keeps vfio-pci from taking it again.
boost::asio::awaitable<result<void>> converge(step_context& context, std::string device,
                                              const binding_state& target);

/// Takes the device off its driver, tells the new one its ids, and takes the ids back, so that no
/// other device of those ids goes there later.
///
/// The guide of 2010 tells the ids first. In this order a death in between shows: a device that is
/// still on its old driver means that no ids were told.
/// Ids that the driver knew before are not ours: they stay.
boost::asio::awaitable<result<void>> introduce(step_context& context, std::string device,
                                               std::string driver, std::string ids,
                                               std::string prior_override);

/// Makes a driver forget ids. Those that it does not know, or cannot forget (before Linux 2.6.36
/// there was no way), are no failure.
boost::asio::awaitable<result<void>> forget_ids(step_context& context, std::string driver,
                                                std::string ids);

/// Waits for the node of the device's group, which vfio-pci makes.
boost::asio::awaitable<result<void>> await_group_node(step_context& context, std::string device);

/// Commands that bring the device to what `target` says, from wherever it is. Each does nothing
/// when there is nothing to do.
std::vector<std::string> manual_binding(const std::string& device, const binding_state& target);

} // namespace vmplug
