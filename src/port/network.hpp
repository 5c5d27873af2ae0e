#pragma once

#include <vmplug/error.hpp>

#include <map>
#include <string>
#include <vector>

namespace vmplug {

/// What rtnetlink tells of one network interface.
struct network_interface {
    std::string name;
    std::string master;                 ///< the bridge, bond, team or OVS datapath that it is in
    std::vector<std::string> stacked;   ///< VLANs, macvlans ... on top of it
    std::vector<std::string> addresses; ///< global and private ones, not link-local
    bool default_route = false;
};

/// By name. Errors: `host_io`.
result<std::map<std::string, network_interface>> read_network();

} // namespace vmplug
