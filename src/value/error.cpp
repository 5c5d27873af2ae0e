#include <vmplug/error.hpp>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace vmplug {
namespace {

using enum error_code;

constexpr std::array catalogue{
    error_entry{invalid_argument, "invalid_argument",
                "An argument has a form or a value that is not allowed.",
                "Correct it; `vmplug VERB --help` shows the form."},
    error_entry{permission_denied, "permission_denied",
                "The kernel or a socket refused access to this user.",
                "Repeat as root, or as the owner of what the text names. If you are root: a "
                "sandbox, a security module or a read-only mount refuses it."},
    error_entry{cancelled, "cancelled", "The operation was cancelled by its caller.",
                "An operation has undone what it had done (`vmplug operations` shows it); a single "
                "command that was sent before may still run in QEMU."},
    error_entry{device_not_found, "device_not_found", "No PCI function of this host has that name.",
                "`vmplug devices` lists the functions with address, ids and netdev."},
    error_entry{device_ambiguous, "device_ambiguous", "More than one PCI function has those ids.",
                "Name one by its address, for example 0000:01:00.0."},
    error_entry{device_is_bridge, "device_is_bridge",
                "Bridges and ports belong to the host; they cannot be assigned to a guest.",
                "Choose a function behind the bridge; `vmplug devices` lists them."},
    error_entry{
        device_is_display, "device_is_display",
        "A graphics card needs more than PCI assignment: legacy VGA ranges and its BIOS.",
        "Use vfio-pci and a guest without legacy VGA, or repeat with --force if it is meant."},
    error_entry{device_critical, "device_critical",
                "The host itself depends on this device: its network, its disks or its console.",
                "Move the host's use elsewhere first, or repeat with --force if it is meant."},
    error_entry{device_assigned, "device_assigned",
                "The device is in use already: a guest, or another program, has it.",
                "`vmplug devices DEVICE` shows who has it. What vmplug gave away comes back with "
                "`vmplug detach` or `vmplug release`; what a guest's manager (libvirt, Incus) "
                "gave, through that manager."},
    error_entry{device_busy, "device_busy", "Another vmplug operation is working on this device.",
                "Wait until it ends; `vmplug operations` shows it."},
    error_entry{device_in_use, "device_in_use",
                "A process has the device open, through a node in /dev or its files in sysfs.",
                "The text names the process: have whoever runs it let go of the device first (its "
                "guest's manager, its service)."},
    error_entry{device_unclear, "device_unclear",
                "Whether the device is in use could not be found out, so it counts as in use.",
                "Put right what the text names; repeat with --force only if you know that nobody "
                "uses the device."},
    error_entry{device_dead, "device_dead",
                "The device's configuration space reads as ones: it does not answer any more.",
                "Remove it and rescan (1 into `remove` below its directory in "
                "/sys/bus/pci/devices, 1 into /sys/bus/pci/rescan). If it stays dead, only a power "
                "cycle of the machine helps; it is not given to a host driver."},
    error_entry{group_not_viable, "group_not_viable",
                "A neighbour in the device's IOMMU group is still on a host driver. The group is "
                "the unit that the IOMMU can isolate, so it goes as a whole.",
                "Repeat with --with-group to prepare the neighbours too, or use another device."},
    error_entry{no_iommu, "no_iommu",
                "The kernel has no IOMMU in use for this device, so it cannot be isolated.",
                "Enable VT-d or AMD-Vi in the firmware and start the kernel with intel_iommu=on "
                "(Intel; AMD needs no parameter); `vmplug check` shows the evidence."},
    error_entry{interrupt_shared, "interrupt_shared",
                "The device has no MSI and shares its interrupt line with another device, so its "
                "interrupts cannot be told apart.",
                "Move the card to another slot, or use a device with MSI. If the host can do "
                "without the other device, `vmplug bind` takes that from its driver."},
    error_entry{twin_unbound, "twin_unbound",
                "Another device with the same ids has no driver: new_id would give it to pci-stub "
                "too.",
                "Bind the other device to a driver first, or leave out --binding new_id."},
    error_entry{driver_unavailable, "driver_unavailable",
                "The host driver that the device must be bound to is not there.",
                "Install the modules of the kernel that runs, or use a kernel that has the driver. "
                "A module "
                "that is there is loaded by vmplug itself; if that failed, the text says why."},
    error_entry{bind_failed, "bind_failed",
                "The kernel did not give the device to the wanted driver.",
                "`dmesg` says why the driver's probe refused it."},
    error_entry{node_missing, "node_missing", "/dev/vfio has no node for the device's group.",
                "Check that udev runs and that /dev/vfio is the host's."},
    error_entry{
        node_unreachable, "node_unreachable",
        "The guest's QEMU could not open the device's VFIO node: it sees another /dev, or "
        "its user or its device cgroup may not.",
        "`vmplug bind` the device, let that QEMU reach /dev/vfio/GROUP, and repeat. A guest "
        "of a manager (libvirt, Incus) gets its devices through that manager."},
    error_entry{host_stuck, "host_stuck",
                "A write to sysfs did not come back: the kernel waits for a user of the device.",
                "The text names who holds the device. When the holder has let go, run `vmplug "
                "recover`: a guest lets go with `vmplug detach` or through its manager, a service "
                "when it is stopped. Without a holder, `dmesg` says what the driver waits for."},
    error_entry{host_io, "host_io", "Reading or writing a file of the kernel failed.",
                "The text says which file and why: put that right, and repeat."},
    error_entry{vm_not_found, "vm_not_found", "No running QEMU has that name, pid or socket.",
                "`vmplug vms` lists the guests of this host."},
    error_entry{vm_ambiguous, "vm_ambiguous", "More than one running QEMU has that name.",
                "Name the guest by its pid, as the text and `vmplug vms` show it, or by its "
                "monitor's socket."},
    error_entry{vm_unproven, "vm_unproven",
                "It could not be shown that the process that was named is the one that answers at "
                "the monitor.",
                "`vmplug vms` shows each guest's process and monitors; name the guest by its pid."},
    error_entry{vm_foreign, "vm_foreign",
                "The guest's process belongs to another user than expected, so that anybody could "
                "have started it under this name.",
                "If it is the one that is meant, name the guest by its pid."},
    error_entry{no_monitor, "no_monitor", "That QEMU was started without a usable monitor.",
                "A running QEMU cannot be given one: at its next start, add -qmp "
                "unix:/run/NAME.qmp,server=on,wait=off. A guest of a manager (libvirt, Incus) gets "
                "its devices through that manager."},
    error_entry{monitor_gone, "monitor_gone", "Nobody listens at the monitor's address.",
                "The QEMU has ended, or the path is wrong; `vmplug vms` shows what runs."},
    error_entry{
        monitor_busy, "monitor_busy",
        "Another client holds the monitor: QEMU serves one client at a time.",
        "Wait until that client lets go. If it is the guest's manager (libvirt, Incus), leave it "
        "alone and attach through it."},
    error_entry{monitor_silent, "monitor_silent", "The monitor accepted but did not answer.",
                "Another client may hold it, or QEMU's main loop hangs; `vmplug vms` shows who."},
    error_entry{monitor_unusable, "monitor_unusable",
                "The QEMU has a monitor of a kind that vmplug does not speak, or one that its "
                "manager is to connect to first.",
                "A running QEMU cannot be given one: at its next start, add -qmp "
                "unix:/run/NAME.qmp,server=on,wait=off. A guest of a manager (libvirt, Incus) gets "
                "its devices through that manager."},
    error_entry{protocol_violation, "protocol_violation",
                "The peer sent something that is not the monitor protocol.",
                "Check that the address is a QMP (or HMP) monitor."},
    error_entry{limit_exceeded, "limit_exceeded", "A message or a value is larger than allowed.",
                "The text says which limit: ask for less, or in parts."},
    error_entry{timed_out, "timed_out", "No answer came before the deadline.",
                "A command that changes something may have run or may still run: look at its "
                "effect before you "
                "repeat it; one that only reads can be repeated."},
    error_entry{connection_lost, "connection_lost",
                "The monitor's connection ended while a command was under way.",
                "A command that changes something may have run: look at its effect before you "
                "repeat it; one that "
                "only reads can be repeated."},
    error_entry{command_failed, "command_failed", "QEMU refused the command.",
                "QEMU's own words in the text say why: correct what they name, and repeat."},
    error_entry{
        no_free_port, "no_free_port",
        "Every port of the guest that takes a hot-add is occupied or reserved; ports cannot be "
        "added to a live guest.",
        "Detach what the guest can do without (`vmplug list VM` shows what vmplug attached), or "
        "give it one more port at its next start: -device pcie-root-port,id=ID,chassis=N,slot=N."},
    error_entry{port_unusable, "port_unusable",
                "The named port does not exist, does not take a hot-add, or is occupied.",
                "`vmplug ports VM` lists the ports."},
    error_entry{duplicate_id, "duplicate_id", "The guest already has a device of that id.",
                "Choose another --id; `vmplug ports VM --tree` shows those in use."},
    error_entry{model_unavailable, "model_unavailable",
                "This QEMU has no device model of that name (pci-assign ended with QEMU 2.12).",
                "Use --driver auto, which takes the model that this QEMU has. A QEMU with neither "
                "was built without device assignment: start the guest with another one."},
    error_entry{property_unknown, "property_unknown",
                "The device model has no such property, or the value has the wrong type.",
                "`vmplug qmp VM device-list-properties typename=vfio-pci` lists them."},
    error_entry{guest_not_ready, "guest_not_ready",
                "The guest is in a state in which QEMU allows no hot-plug, such as a migration, or "
                "another operation works on it.",
                "Wait until that has ended, and repeat."},
    error_entry{guest_rejected, "guest_rejected",
                "The guest asked for the removal of the device directly after it was added, as a "
                "guest does that is still booting.",
                "Repeat when the guest has booted."},
    error_entry{
        guest_iommu, "guest_iommu",
        "The guest has an emulated IOMMU, and QEMU can give it no such device: the IOMMU has to "
        "tell VFIO of its mappings, and a host's group cannot be in two of its domains.",
        "At its next start, give the guest -device intel-iommu,caching-mode=on, or no IOMMU."},
    error_entry{
        unplug_pending, "unplug_pending",
        "The guest was asked to release the device and has not done it yet. A guest that is "
        "paused, not booted or without hot-plug support does not.",
        "It completes by itself when the guest lets go or is reset; then run "
        "`vmplug recover`, which gives the device back to the host."},
    error_entry{not_attached, "not_attached", "The guest has no device of that id.",
                "`vmplug list VM` shows what vmplug attached, `vmplug ports VM --tree` what the "
                "guest has."},
    error_entry{
        memlock_too_low, "memlock_too_low",
        "VFIO locks all of the guest's memory, and QEMU's limit for locked memory is lower.",
        "Raise it for that process, as root: prlimit --memlock=BYTES --pid PID; for good where it "
        "is started (LimitMEMLOCK= of a unit, hard_limit of libvirt's memtune)."},
    error_entry{journal_unavailable, "journal_unavailable",
                "The journal cannot be opened or written, and nothing is done without it.",
                "The text says why. Check the state directory (--state-dir, VMPLUG_STATE_DIR): "
                "owner, free space, a mount that is read-only; the one of this host, "
                "/var/lib/vmplug, belongs to root."},
    error_entry{journal_corrupt, "journal_corrupt", "The journal's file is damaged.",
                "Keep a copy, restore it from a backup or move it away, and check `vmplug devices` "
                "for devices left on vfio-pci."},
    error_entry{operation_conflict, "operation_conflict",
                "An unfinished operation stands in the way of this one.",
                "Run `vmplug recover` to settle it."},
    error_entry{internal, "internal", "vmplug has a bug.",
                "Please report it with the output of `vmplug operations --json`."},
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

std::string remedy_of(const error& failure) {
    return failure.remedy.empty() ? std::string(explain(failure.code).remedy) : failure.remedy;
}

} // namespace vmplug
