#pragma once

#include <vmplug/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// What rtnetlink tells of one network interface, as far as it goes away with its device.
struct link_state {
    int index = 0;
    std::string name;
    std::vector<std::string> alternative_names;
    std::string mac;           ///< "52:54:00:12:34:56"; longer for InfiniBand, empty: none
    std::string permanent_mac; ///< the hardware's; empty: none, or not told (Linux before 5.6)
    std::uint32_t mtu = 0;
    bool up = false;
    int master = 0;                     ///< index of the bridge or bond that it is in, 0: none
    std::vector<std::string> addresses; ///< "192.0.2.7/24", without link-local ones
    std::string parent_bus;             ///< the bus and the name of its device, "pci" and
    std::string parent_name; ///< "0000:01:00.0"; empty: none, or not told (Linux before 5.14)
};

/// The requests whose answers `parse_links` reads: all links, all addresses.
std::vector<std::string> link_dump_requests();

/// Reads the answers to them, in any number of pieces behind each other.
/// Errors: `host_io` with the kernel's reason, or for an answer that is none.
result<std::vector<link_state>> parse_links(std::string_view answers);

/// What of an interface is to be changed; what is not given stays.
struct link_change {
    int index = 0;
    std::optional<std::uint32_t> mtu;
    std::optional<std::string> mac;
    std::optional<std::string> name;
    std::vector<std::string> alternative_names; ///< to be added; nothing else changes with them
    /// The network namespace that it goes to, a file of nsfs; empty: it stays. It gets `name`
    /// there.
    std::string namespace_file;
};

/// A request of rtnetlink. `descriptor_at` is where the descriptor of the namespace belongs, 0 when
/// there is none.
struct link_request {
    std::string message;
    std::size_t descriptor_at = 0;
};

/// Errors: `invalid_argument` for a MAC or a name that is none.
result<link_request> format_link_change(const link_change& change);

} // namespace vmplug
