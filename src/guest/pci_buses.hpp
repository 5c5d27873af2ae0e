#pragma once

#include <vmplug/guest_facts.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// A PCI bus of the guest, as QOM shows it.
struct pci_bus {
    std::string path;        ///< QOM path, e.g. "/machine/peripheral/rp0/rp0"
    std::string bridge_path; ///< of the device that offers it
    std::string bridge_type; ///< e.g. "pcie-root-port", of a root bus "q35-pcihost"
    std::string upstream;    ///< path of the bus that the bridge sits on, empty for a root bus
    bool root = false;
    bool express = false;
    bool switched_off = false;   ///< its port was started with hotplug=off
    bool bypasses_iommu = false; ///< of a root bus: bypass-iommu of its host bridge
    /// QEMU's own word: the path of what handles a hot-add here, empty: nothing does. Nothing: this
    /// QEMU is too old to be asked.
    std::optional<std::string> handler;
    bool has_selector = false; ///< ACPI's controller has given it a number

    /// What such a controller's buses have.
    ///
    /// Source: acpi_set_bsel and acpi_pcihp_is_hotpluggable_bus in hw/acpi/pcihp.c of QEMU.
    static constexpr const char* selector_property = "acpi-pcihp-bsel";

    /// `bus=` of device_add, if no other bus is called so.
    std::string name() const { return path.substr(path.rfind('/') + 1); }

    /// A port takes one device, at slot 0.
    bool is_port() const { return express && !root; }

    /// The hot-plug controller of the bridge itself (SHPC), which has no slot 0.
    bool has_own_controller() const { return !express && !root && handler == bridge_path; }
};

/// What bus an object of this type is: a PCI bus, of which `express` says whether it is PCI
/// Express, or another (nothing).
///
/// Which types are PCI buses QEMU could say (qom-list-types), but it loads all its modules for
/// that, and one whose package was replaced under it may end there. A type that is not known is not
/// offered.
///
/// Source: the children of TYPE_PCI_BUS in hw/pci, hw/cxl, hw/pci-bridge and hw/pci-host of QEMU.
std::optional<bool> express_bus(std::string_view type);

/// Whether QEMU takes a hot-add on the bus. QEMU 10 names ACPI's controller as the handler of buses
/// too that it then refuses to serve: q35's root bus, and i440fx's without acpi-root-pci-hotplug. A
/// bridge and a host bridge serve what they are named for; but a port that was started with
/// hotplug=off names itself as well, and refuses.
bool is_served(const std::vector<pci_bus>& buses, const pci_bus& bus);

/// Something that sits on a bus.
struct bus_occupant {
    std::string bus;  ///< its path
    std::string name; ///< what a person sees: id or QOM path; empty: a device of the machine itself
    std::optional<unsigned> devfn; ///< slot * 8 + function; nothing: not known
};

/// Makes ports of what was found. A bus that device_add cannot name is none: when several are
/// called alike it finds the one that all others are below, and without such a one any of them.
///
/// Source: qbus_find_recursive in softmmu/qdev-monitor.c, do_pci_register_device in hw/pci/pci.c,
/// shpc_device_plug_common in hw/pci/shpc.c of QEMU.
std::vector<guest_port> make_ports(const std::vector<pci_bus>& buses,
                                   const std::vector<bus_occupant>& occupants,
                                   const std::string& machine_type);

} // namespace vmplug
