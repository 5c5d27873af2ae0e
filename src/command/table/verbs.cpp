#include "command/table/verb.hpp"

#include <algorithm>

namespace vmplug {
namespace {

const verb_argument vm{"VM", value_kind::vm};
const verb_argument device{"DEVICE", value_kind::device};

const verb_option timeout{"--timeout", "DURATION", "how long to wait for QEMU (default: 30s)",
                          value_kind::duration};
const verb_option request_id{"--request-id", "KEY",
                             "run at most once: the same key reports the same operation",
                             value_kind::text};
const verb_option binding{
    "--binding",        "WAY", "override (this device alone) or new_id (the guide's way of 2010)",
    value_kind::choice, false, "override|new_id"};
const verb_option watch{"--watch", nullptr, "show it again whenever it changes, until Ctrl-C"};
const verb_option dry_run{"--dry-run", nullptr, "print the plan and change nothing"};

const std::vector<verb>& table() {
    static const std::vector<verb> rows{
        {"vms",
         "running QEMU guests",
         "Finds the QEMU processes of this host by themselves, with their monitors and who holds "
         "them. Asks each free monitor for version and state.",
         {},
         {},
         "vmplug vms"},
        {"devices",
         "PCI functions of this host",
         "Shows driver, netdev, IOMMU group and owner of each function, and whether it can be "
         "assigned; if not, why.",
         {{"DEVICE", value_kind::device, false}},
         {{"--tree", nullptr, "draw bridges, IOMMU groups and what is in them"}, watch},
         "vmplug devices --tree"},
        {"ports",
         "where a device can be hot-added to a guest",
         "Lists the guest's buses: free, occupied by what, or why they take no hot-add.",
         {vm},
         {{"--tree", nullptr, "draw the guest's buses with what sits where"}},
         "vmplug ports web"},
        {"check",
         "every precondition, with evidence and remedy",
         "Checks IOMMU, kernel and modules; with a device its group, interrupts and resets; with "
         "--vm the monitor, the ports and the memory limit. Exits 3 when something is missing.",
         {{"DEVICE", value_kind::device, false}},
         {{"--vm", "VM", "the guest that the device is meant for", value_kind::vm}},
         "vmplug check 01:00.0 --vm web"},
        {"attach",
         "hot-add a device of this host to a live guest",
         "Checks everything first, binds the device, has QEMU add it and looks whether the guest "
         "configures it. What fails part-way is rolled back.",
         {vm, device},
         {{"--id", "ID", "name of the device in QEMU (default: made from the address)",
           value_kind::text},
          {"--port", "BUS", "bus of the guest (default: the first free one)", value_kind::port},
          {"--driver", "DRIVER", "auto, vfio-pci or pci-assign", value_kind::choice, false,
           "auto|vfio-pci|pci-assign"},
          binding,
          {"--with-group", nullptr, "take the neighbours in the IOMMU group from the host too"},
          {"--set", "PROP=VALUE", "a further property of the device", value_kind::property, true},
          {"--timeout", "DURATION",
           "for all of it: when it is over, what was done is undone (default: none; QEMU may take "
           "5m for the device)",
           value_kind::duration},
          {"--wait-guest", "DURATION",
           "how long to look for the guest's own view (default: 5s; 0s: not)",
           value_kind::duration},
          request_id,
          {"--uid", "USER",
           "whose the guest's process has to be (default: yours or root's, where the guest is not "
           "named by its pid)",
           value_kind::text},
          {"--force", nullptr,
           "although the host itself depends on the device, or "
           "the guest's process is not known"},
          dry_run},
         "vmplug attach web 01:00.0 --id nic0",
         interruption::ends_after_undo},
        {"detach",
         "take a device back from a guest",
         "Asks the guest to let go, waits until QEMU has the device no more, and gives it back to "
         "the driver that it had. A guest that does not let go in time is left with the device "
         "(exit 5); `vmplug recover` or the same command goes on later. One that answers that it "
         "does "
         "not is heard at once: the device stays assigned (exit 4, unplug_refused).",
         {vm, {"ID", value_kind::assigned_id}},
         {{"--timeout", "DURATION", "how long to wait for the guest to let go (default: 10s)",
           value_kind::duration},
          {"--keep-bound", nullptr, "leave the device on its assignment driver"},
          request_id,
          dry_run},
         "vmplug detach web nic0",
         interruption::ends_after_undo},
        {"bind",
         "bind a device to its assignment driver, without a guest",
         "The host's half of an attach, for people who start QEMU themselves; `release` undoes it.",
         {device},
         {{"--driver", "DRIVER", "vfio-pci (default) or pci-stub", value_kind::choice, false,
           "vfio-pci|pci-stub"},
          binding,
          {"--with-group", nullptr, "take the neighbours in the IOMMU group from the host too"},
          {"--force", nullptr, "although the host itself depends on the device"},
          dry_run},
         "vmplug bind 01:00.0",
         interruption::ends_after_undo},
        {"release",
         "give a bound device back to the host",
         "Restores driver, driver_override and network interfaces (name, MTU, MAC, alternative "
         "names, namespace) as they were before `bind`, or before the attach that `detach "
         "--keep-bound` ended. Loads the driver's module when it is gone. A device that has left "
         "the machine has nothing to give back: its record is closed.",
         {device},
         {dry_run},
         "vmplug release 01:00.0",
         interruption::ends_after_undo},
        {"list",
         "what is assigned to whom",
         "Shows what vmplug assigned or bound. What others have: `vmplug devices`.",
         {{"VM", value_kind::vm, false}},
         {watch},
         "vmplug list"},
        {"recover",
         "settle every unfinished operation",
         "Goes on with, or undoes, what a killed vmplug left; completes unplugs that guests have "
         "granted since; takes home what dead guests had.",
         {},
         {dry_run},
         "vmplug recover",
         interruption::ends_after_undo},
        {"operations",
         "the journal: what was done, step by step",
         "Without a number the latest operations; with one its steps, with durations and errors.",
         {{"OP", value_kind::number, false, false, {1}}},
         {{"--limit",
           "N",
           "how many of the latest (default 20)",
           value_kind::number,
           false,
           "",
           {1}}},
         "vmplug operations"},
        {"events",
         "a guest's events as they come",
         "Prints each QMP event until interrupted. Holds the monitor meanwhile.",
         {vm},
         {{"--watch", nullptr, "when the monitor goes away, wait for it and go on"}},
         "vmplug events web",
         interruption::ends_stream},
        {"qmp",
         "send one QMP command",
         "VALUE is JSON where it reads as JSON (7, true, [1], \"x\"), else a string. A dot in KEY "
         "makes a nested object.",
         {vm,
          {"COMMAND", value_kind::text},
          {"KEY=VALUE", value_kind::anything, false, true, {}, "arguments"}},
         {timeout},
         "vmplug qmp web query-status"},
        {"hmp",
         "send one line to the human monitor",
         "Through QMP where the guest has it, else over the human monitor's own socket. What QEMU "
         "prints as an error ends with exit 3.",
         {vm, {"LINE", value_kind::words, true, true}},
         {timeout},
         "vmplug hmp web info pci"},
        {"cmdline",
         "the -device arguments for a cold start with the same devices",
         "With a VM: for what it has assigned now and the DEVICEs that follow. With --new: for a "
         "guest that is not started yet. Ports for later hot-adds are included.",
         {{"NAME", value_kind::vm, true, true}},
         {{"--new", nullptr, "all NAMEs are devices"},
          {"--machine", "TYPE", "of the new guest: q35 (default) or pc", value_kind::choice, false,
           "q35|pc"},
          {"--driver", "DRIVER", "vfio-pci (default) or pci-assign", value_kind::choice, false,
           "vfio-pci|pci-assign"},
          {"--ports",
           "N",
           "free ports for later hot-adds (default 2)",
           value_kind::number,
           false,
           "",
           {0, 32}}},
         "vmplug cmdline --new 01:00.0"},
        {"repl",
         "a prompt: several guests, every verb, any QMP command, events as they come",
         "The verbs of this table, QMP commands with their arguments completed and typed by QEMU's "
         "own schema, and `!LINE` for the human monitor. From a pipe or with -c it runs a script "
         "and "
         "ends at the first failure with its exit code.",
         {{"VM", value_kind::vm, false}},
         {{"-c", "SCRIPT", "run these lines (`;` between them) instead of asking",
           value_kind::anything},
          {"--transcript", "FILE",
           "write inputs, replies and events there; it runs as a script too", value_kind::text}},
         "vmplug repl web -c query-status",
         interruption::gives_up_line},
        {"explain",
         "cause and remedy of an error code",
         "Without a code the list of all.",
         {{"CODE", value_kind::error_code, false}},
         {},
         "vmplug explain no_free_port"},
    };
    return rows;
}

} // namespace

std::span<const verb> verbs() {
    return table();
}

std::span<const verb_option> common_options() {
    static const std::vector<verb_option> rows{
        {"--json", nullptr, "one JSON object on stdout, also on failure"},
        {"--state-dir", "DIR", "where the journal is (VMPLUG_STATE_DIR; default /var/lib/vmplug)",
         value_kind::text},
        {"-v,--verbose", nullptr, "say more, on stderr"},
    };
    return rows;
}

std::string long_name(const verb_option& option) {
    const std::string_view name = option.name;
    return std::string(name.substr(name.find(',') + 1));
}

const verb* find_verb(std::string_view name) {
    const auto found =
        std::ranges::find_if(table(), [&](const verb& row) { return row.name == name; });
    return found == table().end() ? nullptr : &*found;
}

namespace {

const verb_option* find_in(std::span<const verb_option> rows, std::string_view name) {
    const auto named = [&](const verb_option& row) {
        const std::string_view all = row.name;
        return long_name(row) == name || all.substr(0, all.find(',')) == name;
    };
    const auto found = std::ranges::find_if(rows, named);
    return found == rows.end() ? nullptr : &*found;
}

} // namespace

const verb_option* find_option(const verb* row, std::string_view name) {
    const auto* own = row ? find_in(row->options, name) : nullptr;
    return own ? own : find_in(common_options(), name);
}

} // namespace vmplug
