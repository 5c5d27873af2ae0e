#include "guest/port_rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace vmplug {
namespace {

/// A device of this type offers a bus, and what kind of bus.
struct bridge_type {
    std::string_view type;
    bool single_slot;
};

constexpr std::array bridge_types{
    bridge_type{"pcie-root-port", true},     bridge_type{"ioh3420", true},
    bridge_type{"xio3130-downstream", true}, bridge_type{"pci-bridge", false},
    bridge_type{"pcie-pci-bridge", false},   bridge_type{"i82801b11-bridge", false},
};

const bridge_type* find_bridge_type(std::string_view type) {
    const auto found = std::ranges::find(bridge_types, type, &bridge_type::type);
    return found == bridge_types.end() ? nullptr : &*found;
}

/// i440fx takes a hot-add on its root bus through ACPI, q35 and virt take none.
guest_port root_bus(const std::string& machine_type) {
    guest_port root;
    const bool i440fx = machine_type.starts_with("pc-i440fx") ||
                        (machine_type.starts_with("pc-") && !machine_type.starts_with("pc-q35"));
    root.bus = i440fx ? "pci.0" : "pcie.0";
    root.type = machine_type;
    root.takes_hot_add = i440fx;
    if (!i440fx) root.why_not = "the root bus of this machine takes no hot-add";
    return root;
}

guest_port port_of(const guest_device& device, const bridge_type& bridge, bool hot_plug_off) {
    guest_port port;
    port.type = device.type;
    port.single_slot = bridge.single_slot;
    port.bus = device.qdev_id.empty() ? device.qom_path : device.qdev_id;
    // Without an id its bus is called like the root bus, and device_add finds that one first.
    if (device.qdev_id.empty()) port.why_not = "it has no id, so device_add cannot name it";
    if (device.type == "i82801b11-bridge") port.why_not = "this bridge takes no hot-add";
    if (hot_plug_off) port.why_not = "it was started with hotplug=off";
    port.takes_hot_add = port.why_not.empty();
    return port;
}

} // namespace

bool is_assigned_type(std::string_view type) {
    return type == "vfio-pci" || type == "kvm-pci-assign" || type == "pci-assign";
}

bool tells_handlers(std::string_view version) {
    unsigned major_number = 0;
    unsigned minor_number = 0;
    const auto* end = version.data() + version.size();
    const auto read = std::from_chars(version.data(), end, major_number);
    if (read.ec != std::errc() || read.ptr == end || *read.ptr != '.') return false;
    std::from_chars(read.ptr + 1, end, minor_number);
    return std::pair(major_number, minor_number) >= std::pair(2U, 4U);
}

bool offers_bus(std::string_view type) {
    return find_bridge_type(type) != nullptr;
}

bool is_single_slot(std::string_view type) {
    const auto* bridge = find_bridge_type(type);
    return bridge && bridge->single_slot;
}

void collect_ports(guest_facts& facts, const std::set<std::string>& hot_plug_off) {
    facts.ports.push_back(root_bus(facts.machine_type));
    for (const auto& device : facts.devices)
        if (const auto* bridge = find_bridge_type(device.type))
            facts.ports.push_back(port_of(device, *bridge, hot_plug_off.contains(device.qom_path)));
    // QOM lists its children in no order; people expect rp0 to be taken first.
    std::ranges::sort(facts.ports.begin() + 1, facts.ports.end(), {}, [](const guest_port& port) {
        return std::pair(!port.single_slot, port.bus);
    });
    for (auto& port : facts.ports)
        for (const auto& device : facts.devices)
            if (device.bus == port.bus)
                port.occupants.push_back(device.qdev_id.empty() ? device.qom_path : device.qdev_id);
}

} // namespace vmplug
