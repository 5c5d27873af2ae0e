#pragma once

#include <vmplug/guest_facts.hpp>

#include <set>
#include <string>
#include <string_view>

namespace vmplug {

/// Whether a device model is one of PCI assignment: vfio-pci, or pci-assign by either name.
bool is_assigned_type(std::string_view type);

/// Whether a device model is a bridge or port that a guest's devices can sit behind.
bool offers_bus(std::string_view type);

/// Whether a device model is a port that takes one device, at slot 0.
bool is_single_slot(std::string_view type);

/// Whether a QEMU of that version ("7.2.22") says what handles a hot-add, and shows its objects:
/// since 2.4. One that is not known counts as old.
bool tells_handlers(std::string_view version);

/// Fills `facts.ports` from its machine type and devices, where QEMU does not say what takes a
/// hot-add. `hot_plug_off` holds the QOM paths of
/// ports that were started with hotplug=off.
void collect_ports(guest_facts& facts, const std::set<std::string>& hot_plug_off);

} // namespace vmplug
