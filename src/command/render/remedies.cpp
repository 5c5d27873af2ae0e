#include "command/render/remedies.hpp"

#include <algorithm>
#include <array>

namespace vmplug {
namespace {

using enum error_code;

struct code_remedy {
    error_code code;
    std::string_view words;
};

constexpr std::array remedies{
    code_remedy{invalid_argument, "Correct it; `vmplug VERB --help` shows the form."},
    code_remedy{permission_denied,
                "Repeat as root, or as the owner of what the text names. If you are root: a "
                "sandbox, a security module or a read-only mount refuses it."},
    code_remedy{cancelled, "An operation has undone what it had done (`vmplug operations` shows "
                           "it); a single command that was sent before may still run in QEMU."},
    code_remedy{device_not_found,
                "`vmplug devices` lists the functions with address, ids and netdev."},
    code_remedy{device_ambiguous, "Name one by its address, for example 0000:01:00.0."},
    code_remedy{device_is_bridge,
                "Choose a function behind the bridge; `vmplug devices` lists them."},
    code_remedy{
        device_is_display,
        "Use vfio-pci and a guest without legacy VGA, or repeat with --force if it is meant."},
    code_remedy{device_critical,
                "Move the host's use elsewhere first, or repeat with --force if it is meant."},
    code_remedy{device_assigned, "`vmplug devices DEVICE` shows who has it. What vmplug gave away "
                                 "comes back with `vmplug detach` or `vmplug release`; what a "
                                 "guest's manager (libvirt, Incus) gave, through that manager."},
    code_remedy{device_busy, "Wait until it ends; `vmplug operations` shows it."},
    code_remedy{device_in_use, "The text names the process: have whoever runs it let go of the "
                               "device first (its guest's manager, its service)."},
    code_remedy{device_unclear, "Put right what the text names; repeat with --force only if you "
                                "know that nobody uses the device."},
    code_remedy{device_dead,
                "Remove it and rescan (1 into `remove` below its directory in "
                "/sys/bus/pci/devices, 1 into /sys/bus/pci/rescan). If it stays dead, only a power "
                "cycle of the machine helps; it is not given to a host driver."},
    code_remedy{group_not_viable,
                "Repeat with --with-group to prepare the neighbours too, or use another device."},
    code_remedy{no_iommu,
                "Enable VT-d or AMD-Vi in the firmware and start the kernel with intel_iommu=on "
                "(Intel; AMD needs no parameter); `vmplug check` shows the evidence."},
    code_remedy{interrupt_shared,
                "Move the card to another slot, or use a device with MSI. If the host can do "
                "without the other device, `vmplug bind` takes that from its driver."},
    code_remedy{twin_unbound,
                "Bind the other device to a driver first, or leave out --binding new_id."},
    code_remedy{
        driver_unavailable,
        "Install the modules of the kernel that runs, or use a kernel that has the driver. A "
        "module that is there is loaded by vmplug itself; if that failed, the text says why."},
    code_remedy{bind_failed, "`dmesg` says why the driver's probe refused it."},
    code_remedy{node_missing, "Check that udev runs and that /dev/vfio is the host's."},
    code_remedy{node_unreachable,
                "`vmplug bind` the device, let that QEMU reach /dev/vfio/GROUP, and repeat. A "
                "guest of a manager (libvirt, Incus) gets its devices through that manager."},
    code_remedy{host_stuck,
                "The text names who holds the device. When the holder has let go, run `vmplug "
                "recover`: a guest lets go with `vmplug detach` or through its manager, a service "
                "when it is stopped. Without a holder, `dmesg` says what the driver waits for."},
    code_remedy{host_io, "The text says which file and why: put that right, and repeat."},
    code_remedy{vm_not_found, "`vmplug vms` lists the guests of this host."},
    code_remedy{vm_ambiguous, "Name the guest by its pid, as the text and `vmplug vms` show it, or "
                              "by its monitor's socket."},
    code_remedy{vm_unproven,
                "`vmplug vms` shows each guest's process and monitors; name the guest by its pid."},
    code_remedy{vm_foreign, "If it is the one that is meant, name the guest by its pid."},
    code_remedy{no_monitor, "A running QEMU cannot be given one: at its next start, add -qmp "
                            "unix:/run/NAME.qmp,server=on,wait=off. A guest of a manager (libvirt, "
                            "Incus) gets its devices through that manager."},
    code_remedy{monitor_gone,
                "The QEMU has ended, or the path is wrong; `vmplug vms` shows what runs."},
    code_remedy{monitor_busy, "Wait until that client lets go. If it is the guest's manager "
                              "(libvirt, Incus), leave it alone and attach through it."},
    code_remedy{monitor_silent,
                "Another client may hold it, or QEMU's main loop hangs; `vmplug vms` shows who."},
    code_remedy{monitor_unusable, "A running QEMU cannot be given one: at its next start, add -qmp "
                                  "unix:/run/NAME.qmp,server=on,wait=off. A guest of a manager "
                                  "(libvirt, Incus) gets its devices through that manager."},
    code_remedy{protocol_violation, "Check that the address is a QMP (or HMP) monitor."},
    code_remedy{limit_exceeded, "The text says which limit: ask for less, or in parts."},
    code_remedy{timed_out,
                "A command that changes something may have run or may still run: look at its "
                "effect before you repeat it; one that only reads can be repeated."},
    code_remedy{connection_lost,
                "A command that changes something may have run: look at its effect before you "
                "repeat it; one that only reads can be repeated."},
    code_remedy{command_failed,
                "QEMU's own words in the text say why: correct what they name, and repeat."},
    code_remedy{
        no_free_port,
        "Detach what the guest can do without (`vmplug list VM` shows what vmplug attached), or "
        "give it one more port at its next start: -device pcie-root-port,id=ID,chassis=N,slot=N."},
    code_remedy{port_unusable, "`vmplug ports VM` lists the ports."},
    code_remedy{duplicate_id, "Choose another --id; `vmplug ports VM --tree` shows those in use."},
    code_remedy{model_unavailable,
                "Use --driver auto, which takes the model that this QEMU has. A QEMU with neither "
                "was built without device assignment: start the guest with another one."},
    code_remedy{property_unknown,
                "`vmplug qmp VM device-list-properties typename=vfio-pci` lists them."},
    code_remedy{guest_not_ready, "Wait until that has ended, and repeat."},
    code_remedy{guest_rejected, "Repeat when the guest has booted."},
    code_remedy{
        guest_iommu,
        "At its next start, give the guest -device intel-iommu,caching-mode=on, or no IOMMU."},
    code_remedy{unplug_pending, "It completes by itself when the guest lets go or is reset; then "
                                "run `vmplug recover`, which gives the device back to the host."},
    code_remedy{unplug_refused, "Take the device out of use in the guest, then repeat."},
    code_remedy{not_attached, "`vmplug list VM` shows what vmplug attached, `vmplug ports VM "
                              "--tree` what the guest has."},
    code_remedy{memlock_too_low,
                "Raise it for that process, as root: prlimit --memlock=BYTES --pid PID; for good "
                "where it is started (LimitMEMLOCK= of a unit, hard_limit of libvirt's memtune)."},
    code_remedy{journal_unavailable,
                "The text says why. Check the state directory (--state-dir, VMPLUG_STATE_DIR): "
                "owner, free space, a mount that is read-only; the one of this host, "
                "/var/lib/vmplug, belongs to root."},
    code_remedy{journal_corrupt, "Keep a copy, restore it from a backup or move it away, and check "
                                 "`vmplug devices` for devices left on vfio-pci."},
    code_remedy{operation_conflict, "Run `vmplug recover` to settle it."},
    code_remedy{internal, "Please report it with the output of `vmplug operations --json`."},
};

constexpr bool in_order() {
    for (std::size_t i = 0; i < remedies.size(); ++i)
        if (static_cast<std::size_t>(remedies[i].code) != i) return false;
    return remedies.size() == static_cast<std::size_t>(internal) + 1;
}
static_assert(in_order(), "one row for each error_code, in its order");

/// {where} and {remedy} stand for what the failure has there.
struct advice_words {
    advice what;
    std::string_view words;
};

constexpr std::array advices{
    advice_words{advice::none, "{remedy}"},
    advice_words{advice::of_code, ""},
    advice_words{advice::list_devices, "`vmplug devices` lists what it has"},
    advice_words{advice::list_guests,
                 "The QEMU has ended, or the path is wrong; `vmplug vms` shows what runs."},
    advice_words{advice::list_assignments, "`vmplug list` shows what is assigned to whom"},
    advice_words{advice::list_operations, "`vmplug operations` lists them"},
    advice_words{advice::list_bound,
                 "`vmplug list` shows what it has; `vmplug detach` ends an attach"},
    advice_words{advice::wait_for_operation,
                 "repeat when it has ended; `vmplug operations` shows it"},
    advice_words{advice::name_by_pid_or_force,
                 "name the guest by its pid; --force goes on without knowing it"},
    advice_words{advice::force_where_done, "{remedy}; --force where that has been done"},
    advice_words{advice::force_where_allowed, "--force where its policy lets it"},
    advice_words{advice::force_without_iommu,
                 "VFIO's unsafe no-IOMMU mode is switched on: --force binds it, for a program that "
                 "may reach all of the host's memory"},
    advice_words{advice::bind_first, "`vmplug bind {where}`, {remedy}"},
    advice_words{advice::bind_first_or_force,
                 "`vmplug bind {where}`, {remedy}; --force where a rule of udev gives it the node"},
    advice_words{advice::attach_with_group,
                 "assign all of them to the same guest: `vmplug attach --with-group`, or each by "
                 "its own attach to the same guest"},
    advice_words{advice::check_as_root, "root sees them: `vmplug check` as root"},
    advice_words{advice::release, "`vmplug release` gives it back"},
    advice_words{advice::recover, "`vmplug recover` takes that home"},
    advice_words{advice::recover_all, "`vmplug recover` takes all of them home"},
    advice_words{advice::distrust_record, "nothing was done with it; see `vmplug operations` and "
                                          "who may write to the state directory"},
    advice_words{advice::send_hmp_line, "`vmplug hmp` sends it a line"},
    advice_words{advice::use_own_option, "use --id, --port or --driver"},
    advice_words{advice::free_interrupt_line,
                 "The device shares its interrupt line with another one and has no MSI: use "
                 "another slot, or, if the host can do without the other device, `vmplug bind` "
                 "that; `vmplug check DEVICE` names the others."},
    advice_words{advice::find_user, "Another process uses the device, its group, or its interrupt "
                                    "line; `vmplug check DEVICE` tells which."},
    advice_words{advice::read_log_of_qemu,
                 "QEMU keeps the reason to its own stderr or log. With pci-assign it is most often "
                 "the missing IOMMU, a device that is not on pci-stub, or a shared interrupt line; "
                 "`vmplug check DEVICE` tells."},
};
static_assert(std::ranges::is_sorted(advices, {}, &advice_words::what) &&
                  advices.size() == static_cast<std::size_t>(advice::read_log_of_qemu) + 1,
              "words for each advice, in its order");

std::string fill(std::string_view words, const std::string& where, const std::string& remedy) {
    std::string text(words);
    // The later one first, so that what is put in is not looked at again.
    if (const auto at = text.find("{remedy}"); at != text.npos) text.replace(at, 8, remedy);
    if (const auto at = text.find("{where}"); at < words.find("{remedy}"))
        text.replace(at, 7, where);
    return text;
}

/// Empty: nothing but what helps against the code.
std::string own_remedy(advice advised, const std::string& where, const std::string& remedy) {
    return fill(advices[static_cast<std::size_t>(advised)].words, where, remedy);
}

} // namespace

std::string_view remedy_of(error_code code) {
    return remedies[static_cast<std::size_t>(code)].words;
}

std::string remedy_of(const error& failure) {
    auto own = own_remedy(failure.advised, failure.where, failure.remedy);
    return own.empty() ? std::string(remedy_of(failure.code)) : own;
}

std::string remedy_of(const finding& found) {
    const bool of_code = found.says == verdict::refused || found.advised == advice::of_code;
    return of_code ? remedy_of(to_error(found))
                   : own_remedy(found.advised, found.where, found.remedy);
}

std::string where_of(const error& failure) {
    switch (failure.about) {
    case request_field::none:
        break;
    case request_field::id:
        return "--id " + failure.where;
    case request_field::port:
        return "--port " + failure.where;
    case request_field::property:
        return "--set " + failure.where;
    }
    return failure.where;
}

} // namespace vmplug
