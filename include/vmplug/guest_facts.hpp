#pragma once

#include <vmplug/pci_address.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// A bus of the guest that `device_add` can name.
struct guest_port {
    std::string bus;  ///< what `bus=` takes, e.g. "rp0" or "pci.0"
    std::string type; ///< QOM type of the device that offers it, e.g. "pcie-root-port"
    bool takes_hot_add = false;
    std::string why_not;                ///< empty when it takes a hot-add
    bool single_slot = false;           ///< a PCI Express port: one device, at slot 0
    std::vector<std::string> occupants; ///< qdev_ids, or QOM paths of devices without one
    bool full = false;                  ///< of a bus with several slots: none is left
    std::string slot;                   ///< what `addr=` must say; empty: QEMU's choice is right
    bool bypasses_iommu = false;        ///< the guest's IOMMU, if it has one, is not asked here

    bool is_free() const { return takes_hot_add && !full && (!single_slot || occupants.empty()); }
};

/// A device below /machine/peripheral, that is, one that a user added.
struct guest_device {
    std::string qdev_id; ///< empty for a device that was added without one
    std::string type;    ///< QOM type, e.g. "vfio-pci"
    std::string qom_path;
    std::string bus;                      ///< the bus that it sits on, empty when it sits on none
    std::string host;                     ///< of an assigned device: its address on the host, or
                                          ///< the path that QEMU was given instead of one
    std::optional<guest_address> address; ///< as far as query-pci shows it
    bool configured = false;              ///< the guest has given addresses to its BARs
};

/// A device model with its properties, from device-list-properties.
struct device_model {
    struct property {
        std::string name;
        std::string type; ///< QEMU's name: "bool", "str", "uint32", "size", an enumeration ...
        std::string default_value = {}; ///< as JSON; empty: none, or not told (QEMU before 5.0)
    };
    std::string type;
    std::vector<property> properties;

    const property* find(std::string_view name) const;
};

/// An IOMMU that QEMU shows to the guest.
struct guest_iommu {
    std::string type;        ///< QOM type or the machine's word, e.g. "intel-iommu", "smmuv3"
    std::string why_not;     ///< why QEMU adds no assigned device behind it; empty: it does
    bool everywhere = false; ///< nor on a bus that bypasses it
};

/// What a guest's QEMU says of itself. Everything in it is untrusted text.
///
/// Source: query-version, query-name, query-status, query-pci, qom-list, qom-list-types, qom-get,
/// device-list-properties, query-migrate, query-memory-size-summary.
struct guest_facts {
    std::string name;
    std::string version;      ///< "7.2.22", from the greeting
    std::string machine_type; ///< "pc-q35-7.2-machine"
    std::string status;       ///< QEMU's run state: "running", "paused", "prelaunch", ...
    bool running = false;
    std::string migration; ///< empty, or query-migrate's status while one is set up or active
    std::uint64_t ram_bytes = 0;
    std::vector<guest_port> ports;
    std::vector<guest_device> devices;
    std::optional<guest_iommu> iommu;
    std::optional<device_model> vfio_pci;
    std::optional<device_model> pci_assign;

    /// What VFIO locks: all of the RAM, and about 1 GiB for device memory, firmware and page
    /// tables.
    std::uint64_t locked_bytes() const { return ram_bytes + (std::uint64_t{1} << 30); }

    const guest_device* find_device(std::string_view qdev_id) const;
    const guest_port* find_port(std::string_view bus) const;
};

} // namespace vmplug
