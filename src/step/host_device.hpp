#pragma once

#include "step/step_kind.hpp"

#include <string>

namespace vmplug {

// A PCI function and its driver, as steps see them.

std::string device_path(const std::string& device);
std::string driver_path(const std::string& driver);

/// The driver that has it; empty: none.
std::string read_driver(step_context& context, const std::string& device);

/// "8086:10d3 8086:a01f": vendor and device, and those of the subsystem.
std::string read_ids(step_context& context, const std::string& device);

/// The module that a driver comes from; empty: it is built into the kernel, or there is no driver.
std::string read_module(step_context& context, const std::string& driver);

/// The device is not in this machine any more. Not when sysfs cannot be read at all.
bool has_left(step_context& context, const std::string& device);

/// Sees to it that a driver is there, whose module may have been removed meanwhile: loads `module`
/// (empty: one of the driver's own name), else what the device itself asks for (its modalias).
/// Errors: `driver_unavailable`, `host_stuck`.
boost::asio::awaitable<result<void>> load_driver(step_context& context, std::string device,
                                                 std::string driver, std::string module);

/// Whether `load_driver` would find one; loads nothing. Errors: `driver_unavailable`.
boost::asio::awaitable<result<void>> finds_driver(step_context& context, std::string device,
                                                  std::string driver, std::string module);

} // namespace vmplug
