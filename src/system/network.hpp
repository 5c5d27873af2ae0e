#pragma once

#include <vmplug/error.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace vmplug {

/// What rtnetlink tells of one network interface.
struct network_interface {
    int index = 0;
    std::string name;
    std::vector<std::string> alternative_names;
    std::string mac;                    ///< e.g. "52:54:00:12:34:56", empty: it has none
    std::string master;                 ///< the bridge, bond, team or OVS datapath that it is in
    std::vector<std::string> stacked;   ///< VLANs, macvlans ... on top of it
    std::vector<std::string> addresses; ///< global and private ones, not link-local
    bool default_route = false;
    bool express_path = false;        ///< an XDP program is attached to it
    std::uint32_t promiscuity = 0;    ///< how many want all of its packets
    int link = 0;                     ///< index of what it stands on; 0: nothing
    std::int32_t link_namespace = -1; ///< id of the namespace that `link` is in; -1: its own
    std::string parent_bus;  ///< the bus and name of its device, e.g. "pci" and "0000:01:00.0";
    std::string parent_name; ///< empty: it has none, or the kernel does not tell (before 5.14)
};

/// The interfaces of a network namespace, by index.
using network_interfaces = std::map<int, network_interface>;

/// Those of our own namespace, without routes and addresses. Errors: `host_io`.
result<network_interfaces> read_interfaces();

/// The same with routes and addresses: as long as the host's routing table.
result<network_interfaces> read_network();

/// Those of another namespace, without routes and addresses.
struct other_network {
    std::uint64_t inode = 0;
    std::string name; ///< for a person: the name of its mount ("pod"), or "of process 7 (nginx)"
    network_interfaces interfaces;
    std::int32_t our_id = -1; ///< the id that our own namespace has there; -1: none
};

/// Reads the network namespace behind a file of nsfs, e.g. "/run/netns/pod" or "/proc/7/ns/net":
/// its process enters it for the time of a few system calls.
/// Errors: `permission_denied`, `host_io`. Failing to come back ends the process.
result<other_network> read_other_network(const std::string& namespace_file);

/// The inode of the network namespace behind a file; 0 when it cannot be read.
std::uint64_t network_namespace_inode(const std::string& namespace_file);

} // namespace vmplug
