#pragma once

#include "port/file_tree.hpp"
#include "port/network.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {

/// Why the host needs each function, for those that it needs: what would be lost if the function
/// were taken away now.
std::map<host_address, std::vector<std::string>>
read_critical_uses(const file_tree& files, const std::vector<pci_function>& functions,
                   const std::map<std::string, network_interface>& network);

} // namespace vmplug
