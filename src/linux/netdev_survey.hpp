#pragma once

#include "port/netdev_state.hpp"
#include "system/file_tree.hpp"

namespace vmplug {

/// Whether any network interface has its place below `base`, the real path of a PCI function. One
/// that lives in another network namespace leaves an empty directory.
bool has_netdevs(const file_tree& files, const std::string& base);

/// The names of those that our own namespace has.
std::vector<std::string> netdevs_below(const file_tree& files, const std::string& base);

/// The network namespaces of this host other than ours, each once: those with a file of their own
/// first by that, the others by a process that is in them.
std::vector<network_namespace> read_network_namespaces(const file_tree& files);

/// The inode of the namespace behind a file of nsfs; 0 when there is none.
std::uint64_t network_namespace_inode(const file_tree& files, const std::string& file);

/// Finds the interfaces below `base` in what rtnetlink told: pieces of `start_netlink_questions`,
/// of our own namespace first and then of `namespaces`. A namespace that could not be asked is as
/// good as gone.
/// Errors: `host_io` when our own could not be asked.
result<netdev_survey> survey_netdevs(const file_tree& files, const std::string& base,
                                     const std::vector<network_namespace>& namespaces,
                                     const std::string& pieces);

} // namespace vmplug
