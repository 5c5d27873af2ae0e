#include <vmplug/error.hpp>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace vmplug {
namespace {

using enum error_code;

constexpr std::array catalogue{
    error_entry{invalid_argument, "invalid_argument",
                "An argument has a form or a value that is not allowed."},
    error_entry{permission_denied, "permission_denied",
                "The kernel or a socket refused access to this user."},
    error_entry{cancelled, "cancelled", "The operation was cancelled by its caller."},
    error_entry{device_not_found, "device_not_found",
                "No PCI function of this host has that name."},
    error_entry{device_ambiguous, "device_ambiguous", "More than one PCI function has those ids."},
    error_entry{device_is_bridge, "device_is_bridge",
                "Bridges and ports belong to the host; they cannot be assigned to a guest."},
    error_entry{device_is_display, "device_is_display",
                "A graphics card needs more than PCI assignment: legacy VGA ranges and its BIOS."},
    error_entry{device_critical, "device_critical",
                "The host itself depends on this device: its network, its disks or its console."},
    error_entry{device_assigned, "device_assigned",
                "The device is in use already: a guest, or another program, has it."},
    error_entry{device_busy, "device_busy", "Another vmplug operation is working on this device."},
    error_entry{device_in_use, "device_in_use",
                "A process has the device open, through a node in /dev or its files in sysfs."},
    error_entry{device_unclear, "device_unclear",
                "Whether the device is in use could not be found out, so it counts as in use."},
    error_entry{device_dead, "device_dead",
                "The device's configuration space reads as ones: it does not answer any more."},
    error_entry{group_not_viable, "group_not_viable",
                "A neighbour in the device's IOMMU group is still on a host driver. The group is "
                "the unit that the IOMMU can isolate, so it goes as a whole."},
    error_entry{no_iommu, "no_iommu",
                "The kernel has no IOMMU in use for this device, so it cannot be isolated."},
    error_entry{interrupt_shared, "interrupt_shared",
                "The device has no MSI and shares its interrupt line with another device, so its "
                "interrupts cannot be told apart."},
    error_entry{
        twin_unbound, "twin_unbound",
        "Another device with the same ids has no driver: new_id would give it to pci-stub too."},
    error_entry{driver_unavailable, "driver_unavailable",
                "The host driver that the device must be bound to is not there."},
    error_entry{bind_failed, "bind_failed",
                "The kernel did not give the device to the wanted driver."},
    error_entry{node_missing, "node_missing", "/dev/vfio has no node for the device's group."},
    error_entry{node_unreachable, "node_unreachable",
                "The guest's QEMU could not open the device's VFIO node: it sees another /dev, or "
                "its user or its device cgroup may not."},
    error_entry{host_stuck, "host_stuck",
                "A write to sysfs did not come back: the kernel waits for a user of the device."},
    error_entry{host_io, "host_io", "Reading or writing a file of the kernel failed."},
    error_entry{vm_not_found, "vm_not_found", "No running QEMU has that name, pid or socket."},
    error_entry{vm_ambiguous, "vm_ambiguous", "More than one running QEMU has that name."},
    error_entry{vm_unproven, "vm_unproven",
                "It could not be shown that the process that was named is the one that answers at "
                "the monitor."},
    error_entry{vm_foreign, "vm_foreign",
                "The guest's process belongs to another user than expected, so that anybody could "
                "have started it under this name."},
    error_entry{no_monitor, "no_monitor", "That QEMU was started without a usable monitor."},
    error_entry{monitor_gone, "monitor_gone", "Nobody listens at the monitor's address."},
    error_entry{monitor_busy, "monitor_busy",
                "Another client holds the monitor: QEMU serves one client at a time."},
    error_entry{monitor_silent, "monitor_silent", "The monitor accepted but did not answer."},
    error_entry{monitor_unusable, "monitor_unusable",
                "The QEMU has a monitor of a kind that vmplug does not speak, or one that its "
                "manager is to connect to first."},
    error_entry{protocol_violation, "protocol_violation",
                "The peer sent something that is not the monitor protocol."},
    error_entry{limit_exceeded, "limit_exceeded", "A message or a value is larger than allowed."},
    error_entry{timed_out, "timed_out", "No answer came before the deadline."},
    error_entry{connection_lost, "connection_lost",
                "The monitor's connection ended while a command was under way."},
    error_entry{command_failed, "command_failed", "QEMU refused the command."},
    error_entry{no_free_port, "no_free_port",
                "Every port of the guest that takes a hot-add is occupied or reserved; ports "
                "cannot be added to a live guest."},
    error_entry{port_unusable, "port_unusable",
                "The named port does not exist, does not take a hot-add, or is occupied."},
    error_entry{duplicate_id, "duplicate_id", "The guest already has a device of that id."},
    error_entry{model_unavailable, "model_unavailable",
                "This QEMU has no device model of that name (pci-assign ended with QEMU 2.12)."},
    error_entry{property_unknown, "property_unknown",
                "The device model has no such property, or the value has the wrong type."},
    error_entry{guest_not_ready, "guest_not_ready",
                "The guest is in a state in which QEMU allows no hot-plug, such as a migration, or "
                "another operation works on it."},
    error_entry{guest_rejected, "guest_rejected",
                "The guest asked for the removal of the device directly after it was added, as a "
                "guest does that is still booting."},
    error_entry{
        guest_iommu, "guest_iommu",
        "The guest has an emulated IOMMU, and QEMU can give it no such device: the IOMMU has to "
        "tell VFIO of its mappings, and a host's group cannot be in two of its domains."},
    error_entry{unplug_pending, "unplug_pending",
                "The guest was asked to release the device and has not done it yet. A guest that "
                "is paused, not booted or without hot-plug support does not."},
    error_entry{unplug_refused, "unplug_refused",
                "The guest was asked to release the device and has answered that it does not: a "
                "driver or a program in it holds the device."},
    error_entry{not_attached, "not_attached", "The guest has no device of that id."},
    error_entry{
        memlock_too_low, "memlock_too_low",
        "VFIO locks all of the guest's memory, and QEMU's limit for locked memory is lower."},
    error_entry{journal_unavailable, "journal_unavailable",
                "The journal cannot be opened or written, and nothing is done without it."},
    error_entry{journal_corrupt, "journal_corrupt", "The journal's file is damaged."},
    error_entry{operation_conflict, "operation_conflict",
                "An unfinished operation stands in the way of this one."},
    error_entry{internal, "internal", "vmplug has a bug."},
};

constexpr bool in_order() {
    for (std::size_t i = 0; i < catalogue.size(); ++i)
        if (static_cast<std::size_t>(catalogue[i].code) != i) return false;
    return catalogue.size() == static_cast<std::size_t>(internal) + 1;
}
static_assert(in_order(), "one row for each error_code, in its order");

} // namespace

void throw_exception_from_error(const error& failure, const boost::source_location&) {
    throw std::logic_error("unchecked error: " + failure.where + ": " + failure.text);
}

std::span<const error_entry> error_catalogue() {
    return catalogue;
}

const error_entry& explain(error_code code) {
    return catalogue[static_cast<std::size_t>(code)];
}

std::string_view code_name(error_code code) {
    return explain(code).name;
}

const error_entry* find_error(std::string_view name) {
    const auto row = std::ranges::find(catalogue, name, &error_entry::name);
    return row == catalogue.end() ? nullptr : &*row;
}

} // namespace vmplug
