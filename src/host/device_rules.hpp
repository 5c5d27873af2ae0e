#pragma once

#include "system/file_tree.hpp"

#include <vmplug/process_view.hpp>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace vmplug {

/// Numbers of a device node; a minor of nothing: any that the major has.
struct device_pattern {
    unsigned major = 0;
    std::optional<unsigned> minor;
};

/// Whether the control group of a process lets it open these character devices, and which group
/// that is.
std::pair<process_view::device_rule, std::string>
read_device_rule(const file_tree& files, std::int32_t pid,
                 const std::vector<device_pattern>& wanted);

/// Whether a devices.list ("c 10:196 rw", "a *:* rwm") allows to read and write a device.
bool list_allows(const std::string& list, const device_pattern& wanted);

} // namespace vmplug
