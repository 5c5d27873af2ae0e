#pragma once

#include "system/file_tree.hpp"

#include <vmplug/pci_address.hpp>

#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace vmplug {

/// Whose device something in sysfs is: found from the device upwards, so neither its depth nor the
/// buses in between (SCSI, SAS, USB, virtio, auxiliary, MMC ...) have to be known.
class function_paths {
public:
    explicit function_paths(std::set<host_address> known) : known_(std::move(known)) {}

    /// The function that a path below /sys/devices leads through, the deepest one where there are
    /// several: those above it are bridges. Nothing for a virtual or platform device.
    std::optional<host_address> owner_of(std::string_view path) const;

private:
    std::set<host_address> known_;
};

/// Where a link of sysfs leads, as a path below the tree's root. Unlike `file_tree::resolve` it
/// costs one system call, since a link in /sys/class and /sys/bus names the device itself.
/// Nothing when it is no link.
std::optional<std::string> follow_sysfs_link(const file_tree& files, const std::string& path);

} // namespace vmplug
