#pragma once

#include "port/file_tree.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {

/// How much to look at: what is asked for costs time.
struct host_reading {
    bool monitor_clients = false; ///< who is connected to each QEMU's monitors
    bool kernel_log = false;      ///< the kernel's own words on its IOMMU
};

/// Reads everything that planning needs: functions, groups, drivers, processes, network, storage.
/// Nothing in it blocks, and nothing is changed.
host_facts read_host(const file_tree& files, host_reading wanted = {});

/// MSI, MSI-X and INTx of a function and how it can be reset.
struct function_abilities {
    bool msi = false;
    bool msix = false;
    int interrupt_pin = 0;     ///< 1..4 = INTA..INTD, 0: no INTx
    std::string reset_methods; ///< e.g. "flr bus"; empty: none or not known
    bool configuration_readable = false;
    bool dead = false; ///< its configuration space reads as ones
};

/// Reads the function's configuration space: for `vmplug check`, not for planning.
function_abilities read_abilities(const file_tree& files, const host_address& address);

} // namespace vmplug
