#pragma once

#include "system/file_tree.hpp"
#include "system/network.hpp"

#include <vmplug/host_facts.hpp>

#include <map>
#include <string>
#include <vector>

namespace vmplug {

/// The network as this process sees it, and the namespaces beside it.
struct network_view {
    result<network_interfaces> ours = network_interfaces();
    std::vector<other_network> others;
    std::string not_seen; ///< why some namespaces could not be looked at; empty: all were
};

/// Asks rtnetlink, here and in every network namespace that a process is in or that is mounted.
network_view read_network_view(const file_tree& files);

/// What the network interfaces below functions are used for, by function.
///
/// An interface that lives in another namespace leaves an empty directory `net` below its device.
/// What sysfs shows and rtnetlink does not is of another namespace than ours: then it cannot be
/// told.
std::map<host_address, std::vector<device_use>>
read_network_uses(const file_tree& files, const std::vector<pci_function>& functions,
                  const network_view& view);

/// Gives functions the alternative names of their netdevs.
void add_alternative_names(const network_view& view, std::vector<pci_function>& functions);

} // namespace vmplug
