#pragma once

#include "system/file_tree.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {

/// How much to look at: what is asked for costs time.
struct host_reading {
    bool monitor_clients = false; ///< who is connected to each QEMU's monitors
    bool kernel_words = false;    ///< the kernel's own log and configuration, on its IOMMU
};

/// Reads everything that planning needs: functions, groups, drivers, processes, network, storage.
/// Nothing in it blocks, and nothing is changed.
host_facts read_host(const file_tree& files, host_reading wanted = {});

/// The functions with every name that a person may know one by, and nothing else of the host.
host_facts read_names(const file_tree& files);

/// Reads one function's configuration space, and who shares its interrupt line.
function_abilities read_abilities(const file_tree& files, const host_facts& host,
                                  const host_address& address);

} // namespace vmplug
