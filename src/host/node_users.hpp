#pragma once

#include "system/file_tree.hpp"

#include <vmplug/host_facts.hpp>

#include <map>
#include <string>
#include <vector>

namespace vmplug {

/// Who has something open, as one walk through the open files of all processes shows.
struct node_users {
    /// Processes with a node of the function open (character and block devices however deep below
    /// it: uio, dri, tty, infiniband, nvme, sound, USB ...), or its configuration space or BARs in
    /// sysfs, as user-space drivers have them.
    std::map<host_address, std::vector<device_use>> by_function;
    std::map<int, std::vector<group_user>> by_group; ///< VFIO's groups, also without an IOMMU
    std::string not_seen; ///< why some processes could not be looked at; empty: all were
};

node_users read_node_users(const file_tree& files, const std::vector<pci_function>& functions);

} // namespace vmplug
