#pragma once

#include "qapi/request.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug::qapi {

/// A BAR. Source: PciMemoryRegion in qapi/pci.json, since 0.14.
struct pci_region {
    /// What the guest has given it: nothing for the -1 that QEMU shows before that.
    std::optional<std::uint64_t> address;

    bool operator==(const pci_region&) const = default;
};

/// A function that the guest has, as it sees it. Source: PciDeviceInfo in qapi/pci.json, since
/// 0.14.
struct pci_function {
    std::uint8_t bus = 0;
    std::uint8_t slot = 0;     ///< at most 31
    std::uint8_t function = 0; ///< at most 7
    std::string qdev_id;       ///< empty: has none, as what the machine itself has
    std::vector<pci_region> regions;
    /// What is behind it, if it is a bridge. QEMU shows that by the bus number that the guest's
    /// firmware gave it: before the guest has booted there is nothing.
    std::vector<pci_function> behind;

    bool operator==(const pci_function&) const = default;
};

/// A root bus. Source: PciInfo in qapi/pci.json, since 0.14.
struct pci_root {
    std::vector<pci_function> functions;

    bool operator==(const pci_root&) const = default;
};

/// The PCI functions that the guest has. Those without a number or with one that PCI does not have
/// are left out, and those behind more than `bridges_max` bridges.
///
/// Source: qapi/pci.json, since 0.14.
struct query_pci {
    static constexpr std::string_view name = "query-pci";
    static constexpr std::size_t bridges_max = 32;
    using reply = std::vector<pci_root>;

    std::string encode() const { return {}; }
    static result<reply> parse(const nlohmann::json& answer);
};

} // namespace vmplug::qapi
