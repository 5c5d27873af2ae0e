#pragma once

#include <vmplug/guest_facts.hpp>

#include <optional>
#include <string>
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

    /// `bus=` of device_add, if no other bus is called so.
    std::string name() const { return path.substr(path.rfind('/') + 1); }

    /// A port takes one device, at slot 0.
    bool is_port() const { return express && !root; }

    /// The hot-plug controller of the bridge itself (SHPC), which has no slot 0.
    bool has_own_controller() const { return !express && !root && handler == bridge_path; }
};

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
