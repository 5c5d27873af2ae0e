#include "guest/pci_buses.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <tuple>

namespace vmplug {
namespace {

constexpr unsigned functions_per_slot = 8;
constexpr unsigned slots_max = 32;

const pci_bus* find_bus(const std::vector<pci_bus>& buses, const std::string& path) {
    const auto found = std::ranges::find(buses, path, &pci_bus::path);
    return found == buses.end() ? nullptr : &*found;
}

/// Calls `visit` with each bus above `bus`, the nearest first. The paths are QEMU's: a ring ends.
template <class Visit>
void for_each_above(const std::vector<pci_bus>& buses, const pci_bus& bus, Visit visit) {
    const auto* above = find_bus(buses, bus.upstream);
    for (std::size_t depth = 0; above && depth < buses.size(); ++depth) {
        visit(*above);
        above = find_bus(buses, above->upstream);
    }
}

bool can_be_named(const std::vector<pci_bus>& buses, const pci_bus& bus) {
    return std::ranges::all_of(buses, [&](const pci_bus& other) {
        if (&other == &bus || other.name() != bus.name()) return true;
        bool below = false;
        for_each_above(buses, other, [&](const pci_bus& each) { below = below || &each == &bus; });
        return below;
    });
}

bool bypasses_iommu(const std::vector<pci_bus>& buses, const pci_bus& bus) {
    bool bypasses = bus.bypasses_iommu;
    for_each_above(buses, bus, [&](const pci_bus& each) { bypasses = each.bypasses_iommu; });
    return bypasses;
}

/// The slots of a bus, a bit each.
struct slot_map {
    std::uint32_t any = 0;   ///< some function is there
    std::uint32_t first = 0; ///< function 0 is
    bool all_known = true;
};

slot_map map_slots(const pci_bus& bus, const std::vector<bus_occupant>& occupants) {
    slot_map map;
    for (const auto& each : occupants) {
        if (each.bus != bus.path) continue;
        if (!each.devfn || *each.devfn >= slots_max * functions_per_slot) {
            map.all_known = false;
            continue;
        }
        const auto bit = std::uint32_t{1} << (*each.devfn / functions_per_slot);
        map.any |= bit;
        if (*each.devfn % functions_per_slot == 0) map.first |= bit;
    }
    return map;
}

std::string format_slot(unsigned slot) {
    char text[8];
    std::snprintf(text, sizeof text, "0x%x", slot);
    return text;
}

/// Left alone, QEMU takes the first slot whose function 0 is free. That fails at slot 0 of a bridge
/// with a controller of its own, and where other functions of the slot are taken.
void choose_slot(const pci_bus& bus, const std::vector<bus_occupant>& occupants, guest_port& port) {
    const auto map = map_slots(bus, occupants);
    const bool no_zero = bus.has_own_controller();
    const auto fits = static_cast<unsigned>(std::countr_one(map.any | (no_zero ? 1U : 0U)));
    const auto qemus_own = static_cast<unsigned>(std::countr_one(map.first));
    port.full = fits >= slots_max;
    if (!port.full && fits != qemus_own && (map.all_known || no_zero))
        port.slot = format_slot(fits);
}

std::string why_not(const std::vector<pci_bus>& buses, const pci_bus& bus, bool named) {
    if (!named) return "another bus is called " + bus.name() + " too: device_add cannot name it";
    if (!bus.handler) return "this QEMU cannot tell whether the bus takes a hot-add";
    if (is_served(buses, bus)) return {};
    if (bus.switched_off) return "it was started with hotplug=off";
    if (bus.root) return "the root bus of this machine takes no hot-add";
    return "QEMU has no hot-plug controller for this bus";
}

guest_port port_of(const pci_bus& bus, const std::vector<pci_bus>& buses,
                   const std::vector<bus_occupant>& occupants) {
    const bool named = can_be_named(buses, bus);
    guest_port port;
    port.bus = named ? bus.name() : bus.bridge_path;
    port.type = bus.bridge_type;
    port.why_not = why_not(buses, bus, named);
    port.takes_hot_add = port.why_not.empty();
    port.single_slot = bus.is_port();
    port.bypasses_iommu = bypasses_iommu(buses, bus);
    for (const auto& each : occupants)
        if (each.bus == bus.path && !each.name.empty()) port.occupants.push_back(each.name);
    if (!port.single_slot) choose_slot(bus, occupants, port);
    return port;
}

} // namespace

std::optional<bool> express_bus(std::string_view type) {
    static constexpr std::array<std::string_view, 3> conventional{"PCI", "pxb-bus", "pxb-pci-bus"};
    static constexpr std::array<std::string_view, 8> express{
        "PCIE",          "CXL",           "pxb-pcie-bus",  "pxb-cxl-bus",
        "pnv-phb3-root", "pnv-phb4-root", "pnv-phb5-root", "designware-pcie-root-BUS"};
    if (std::ranges::find(conventional, type) != conventional.end()) return false;
    if (std::ranges::find(express, type) != express.end()) return true;
    return std::nullopt;
}

bool is_served(const std::vector<pci_bus>& buses, const pci_bus& bus) {
    if (!bus.handler || bus.handler->empty() || bus.switched_off) return false;
    if (bus.handler == bus.bridge_path || bus.has_selector) return true;
    return std::ranges::any_of(buses, [&](const pci_bus& other) {
        return other.root && other.bridge_path == *bus.handler;
    });
}

std::vector<guest_port> make_ports(const std::vector<pci_bus>& buses,
                                   const std::vector<bus_occupant>& occupants,
                                   const std::string& machine_type) {
    // QOM lists its children in no order; people expect rp0 to be taken first. A root bus takes a
    // device as the guide of 2010 has it; a port gives it all that PCI Express has, a bridge not.
    std::vector<const pci_bus*> sorted;
    sorted.reserve(buses.size());
    for (const auto& bus : buses)
        sorted.push_back(&bus);
    std::ranges::sort(sorted, {}, [](const pci_bus* bus) {
        const bool built_in = bus->bridge_path.find("/peripheral") == std::string::npos;
        return std::tuple(!bus->root, !built_in, !bus->express, bus->name(), bus->path);
    });
    std::vector<guest_port> ports;
    ports.reserve(sorted.size());
    for (const auto* bus : sorted)
        ports.push_back(port_of(*bus, buses, occupants));
    if (!ports.empty() && sorted.front()->root && !machine_type.empty())
        ports.front().type = machine_type;
    return ports;
}

} // namespace vmplug
