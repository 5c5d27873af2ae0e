#pragma once

#include "port/file_tree.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {

/// All PCI functions of this host, in the order of their addresses.
std::vector<pci_function> read_functions(const file_tree& files);

} // namespace vmplug
