#pragma once

#include "host/function_paths.hpp"
#include "system/file_tree.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {

/// All PCI functions of this host, in the order of their addresses, with the netdevs and disks that
/// are below them.
std::vector<pci_function> read_functions(const file_tree& files);

/// To ask what belongs to one of them.
function_paths paths_of(const std::vector<pci_function>& functions);

} // namespace vmplug
