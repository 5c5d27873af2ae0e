#pragma once

#include <vmplug/operation.hpp>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vmplug {

/// A network namespace other than ours, and how it can be reached.
///
/// Shape: `path` is a file of nsfs that holds it ("/run/netns/pod"), else `process` is in it. The
/// inode alone proves nothing: its number is used again when the namespace has gone.
struct network_namespace {
    std::uint64_t inode = 0;
    std::string path;         ///< empty: it has no file
    process_identity process; ///< with no file, and always for the boot that it belongs to

    /// For a person: "pod", or "of process 7".
    std::string name() const;

    /// What `setns` and `ip link set netns` take.
    std::string file() const;

    bool operator==(const network_namespace&) const = default;
};

/// A network interface below a PCI function.
///
/// Shape: `place` is where it hangs below the function ("virtio3", "usb3/3-1/3-1:1.0"), empty for
/// the function itself; the numbers in it are new when the device comes back. `mtu` 0 and an empty
/// `mac` mean that they are not known: of a record of an earlier vmplug.
struct netdev_state {
    std::string name;
    std::vector<std::string> alternative_names;
    std::string place;
    std::optional<int> dev_port; ///< tells the ports of one function apart; not seen from outside
    std::string mac;
    std::string permanent_mac;
    std::uint32_t mtu = 0;
    bool up = false;
    std::string master;                               ///< bridge or bond
    std::vector<std::string> addresses;               ///< "192.0.2.7/24"
    std::optional<network_namespace> other_namespace; ///< nothing: ours

    int index = 0; ///< of the moment; not kept

    bool operator==(const netdev_state&) const = default;
};

/// The interfaces below a function, and what stands in the way of a name.
struct netdev_survey {
    std::vector<netdev_state> netdevs;
    std::set<std::string> names_of_others; ///< in our namespace, alternative ones too
};

/// What of an interface in our namespace is to be changed; what is not given stays.
struct netdev_change {
    int index = 0;
    std::optional<std::uint32_t> mtu;
    std::optional<std::string> mac;
    std::optional<std::string> name;
    std::vector<std::string> alternative_names;    ///< to be added, alone
    std::optional<network_namespace> to_namespace; ///< together with `name`
};

} // namespace vmplug
