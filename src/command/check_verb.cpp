#include "command/handlers.hpp"
#include "command/json_text.hpp"
#include "command/terminal_text.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using nlohmann::json;

/// The rows of a check, in the order in which they are looked at.
class check_rows {
public:
    void ok(const char* name, std::string evidence) { add(name, "ok", std::move(evidence), {}); }
    void warn(const char* name, std::string evidence, std::string remedy = {}) {
        add(name, "warning", std::move(evidence), std::move(remedy));
    }
    void fail(const char* name, std::string evidence, std::string remedy) {
        add(name, "missing", std::move(evidence), std::move(remedy));
        failed_ = true;
    }
    void fail(const char* name, const error& failure) {
        fail(name, failure.text, remedy_of(failure));
    }
    command_result result() {
        command_result made;
        made.value = {{"outcome", failed_ ? "refused" : "done"}, {"checks", std::move(rows_)}};
        if (failed_)
            made.value["error"] =
                to_json(error{error_code::invalid_argument, "check", "a precondition is missing",
                              "the remedies are in the table"});
        made.exit_code = failed_ ? exit_code(outcome::refused) : 0;
        return made;
    }

private:
    void add(const char* name, const char* state, std::string evidence, std::string remedy) {
        rows_.push_back({{"check", name},
                         {"state", state},
                         {"evidence", std::move(evidence)},
                         {"remedy", std::move(remedy)}});
    }
    json rows_ = json::array();
    bool failed_ = false;
};

void check_iommu(const iommu_evidence& iommu, check_rows& rows) {
    const auto log = iommu.log_lines.empty() ? std::string() : " (" + iommu.log_lines.front() + ")";
    if (iommu.enabled)
        rows.ok(
            "IOMMU",
            "in use: " + (iommu.units.empty() ? "there are IOMMU groups" : join(iommu.units, " ")) +
                log);
    else if (!iommu.firmware_table)
        rows.fail("IOMMU", "No IOMMU found: the firmware shows no DMAR or IVRS table" + log,
                  "switch VT-d (Intel) or AMD-Vi on in the firmware; some chipsets have none");
    else
        rows.fail(
            "IOMMU",
            std::string("the chipset has one, but the kernel does not use it; intel_iommu=on ") +
                (iommu.asked_for ? "is" : "is not") + " on its command line" + log,
            iommu.asked_for ? "`dmesg | grep -e DMAR -e IOMMU` says why"
                            : "start the kernel with intel_iommu=on");
    if (!iommu.enabled) return;
    if (!iommu.interrupt_remapping)
        rows.warn("interrupt remapping", "not known: the kernel does not show it");
    else if (*iommu.interrupt_remapping)
        rows.ok("interrupt remapping", "supported and in use");
    else
        rows.warn("interrupt remapping", "not in use: VFIO refuses a device then",
                  "start the kernel without intremap=off, or allow it at your own risk: "
                  "vfio_iommu_type1.allow_unsafe_interrupts=1");
}

/// What the guide of 2010 has people look up in the kernel's configuration.
void check_kernel(const host_facts& host, check_rows& rows) {
    const auto& options = host.kernel_options;
    if (options.empty()) return;
    std::string list;
    for (const auto& [name, value] : options)
        list += (list.empty() ? "" : ", ") + name + "=" + value;
    const auto has = [&](const char* name) { return options.at(name) != "n"; };
    if (!has("CONFIG_INTEL_IOMMU") && !has("CONFIG_AMD_IOMMU"))
        rows.fail("kernel", "built without DMA remapping: " + list,
                  "use a kernel with CONFIG_INTEL_IOMMU or CONFIG_AMD_IOMMU");
    else
        rows.ok("kernel", list);
}

void check_module(const host_facts& host, const char* name, bool needed, const char* remedy,
                  check_rows& rows) {
    const auto found = host.modules.find(name);
    const auto state = found == host.modules.end() ? module_state::missing : found->second;
    switch (state) {
    case module_state::built_in:
        return rows.ok(name, "built in to the kernel");
    case module_state::loaded:
        return rows.ok(name, "module, loaded");
    case module_state::available:
        return rows.ok(name, "module, loaded when it is needed");
    case module_state::missing:
        break;
    }
    if (needed)
        rows.fail(name, "this kernel has no such module", remedy);
    else
        rows.warn(name, "this kernel has no such module", remedy);
}

void check_modules(const host_facts& host, check_rows& rows) {
    check_module(host, "vfio-pci", true, "use a kernel with CONFIG_VFIO_PCI", rows);
    check_module(host, "vfio_iommu_type1", true, "use a kernel with CONFIG_VFIO_IOMMU_TYPE1", rows);
    check_module(host, "pci-stub", false,
                 "only for QEMUs before 2.12: use a kernel with CONFIG_PCI_STUB", rows);
    const bool amd =
        host.modules.contains("kvm_amd") && host.modules.at("kvm_amd") == module_state::loaded;
    check_module(host, "kvm", false,
                 "`modprobe kvm` (and kvm-intel or kvm-amd): guests run slowly without KVM", rows);
    check_module(host, amd ? "kvm_amd" : "kvm_intel", false,
                 "`modprobe kvm` (and kvm-intel or kvm-amd): guests run slowly without KVM", rows);
}

void check_group(const host_facts& host, const pci_function& function, check_rows& rows) {
    if (!function.iommu_group)
        return rows.fail("IOMMU group", "the function is in none",
                         std::string(explain(error_code::no_iommu).remedy));
    const auto group = std::to_string(*function.iommu_group);
    const auto verdicts = judge_group(host, function);
    if (verdicts.empty()) rows.ok("IOMMU group", "group " + group + ": alone in it");
    for (const auto& verdict : verdicts) {
        const auto text =
            "group " + group + ", " + format_address(verdict.address) + ": " + verdict.reason;
        if (verdict.viable)
            rows.ok("IOMMU group", text);
        else
            rows.fail("IOMMU group", text + "; the two can only go together",
                      "--with-group takes it from the host too");
    }
}

void check_interrupts(const function_abilities& abilities, check_rows& rows) {
    if (abilities.dead)
        return rows.fail("device", "its configuration space reads as ones: it does not answer",
                         std::string(explain(error_code::device_dead).remedy));
    std::vector<std::string> found;
    if (abilities.msix) found.emplace_back("MSI-X");
    if (abilities.msi) found.emplace_back("MSI");
    if (abilities.interrupt_pin != 0)
        found.push_back(std::string("INT") +
                        static_cast<char>('A' + (abilities.interrupt_pin - 1) % 4));
    if (!abilities.configuration_readable)
        rows.warn("interrupts", "not known: the capabilities are readable by root alone",
                  "run as root");
    else if (abilities.shares_interrupt())
        rows.warn("interrupts", join(found, ", ") + ": " + describe_shared_interrupt(abilities),
                  std::string(explain(error_code::interrupt_shared).remedy));
    else
        rows.ok("interrupts", (found.empty() ? "none" : join(found, ", ")) +
                                  (abilities.msi ? "" : ", on a line of its own"));
    if (abilities.reset_methods.empty())
        rows.warn("reset", "the kernel knows no way to reset this function alone",
                  "its state may survive from one guest to the next");
    else
        rows.ok("reset", abilities.reset_methods);
}

/// Behind a bridge to conventional PCI the IOMMU cannot tell the functions apart.
void check_bridge(const host_facts& host, const pci_function& function,
                  const function_abilities& abilities, check_rows& rows) {
    if (abilities.express) return rows.ok("bridge", "PCI Express: no bridge ties it to others");
    const auto mates = find_bridge_mates(host, function);
    if (function.upstream.empty() || mates.empty())
        return rows.ok("bridge", "conventional PCI, alone behind its bridge");
    std::string list;
    for (const auto* mate : mates)
        list += (list.empty() ? "" : ", ") + format_address(mate->address);
    rows.warn("bridge",
              "conventional PCI behind the bridge " + format_address(function.upstream.back()) +
                  ": it goes together with " + list,
              "assign all of them to the same guest: `vmplug attach --with-group`, or each by its "
              "own attach to the same guest");
}

void check_device(const host_facts& host, const pci_function& function,
                  const function_abilities& abilities, check_rows& rows) {
    if (function.is_bridge())
        return rows.fail("device", "it is a bridge",
                         std::string(explain(error_code::device_is_bridge).remedy));
    if (function.is_display())
        rows.warn("device class", display_words,
                  std::string(explain(error_code::device_is_display).remedy));
    else
        rows.ok("device class", "not a bridge, not a display adapter");
    check_group(host, function, rows);
    if (abilities.configuration_readable) check_bridge(host, function, abilities, rows);
    check_interrupts(abilities, rows);
    const auto uses = host.critical.find(function.address);
    if (uses == host.critical.end())
        rows.ok("host's use", "the host does not depend on it");
    else
        rows.fail("host's use", join(uses->second, "; "),
                  std::string(explain(error_code::device_critical).remedy));
    if (!function.iommu_group) return;
    const auto users = host.group_users.find(*function.iommu_group);
    if (users != host.group_users.end())
        rows.fail("owner",
                  "process " + std::to_string(users->second.front().pid) + " has the group open",
                  std::string(explain(error_code::device_assigned).remedy));
}

void check_memory(const guest_view& view, check_rows& rows) {
    if (!view.process) return rows.warn("memory limit", "QEMU's process is not known");
    const auto needed = view.facts.locked_bytes();
    const auto mib = [](std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; };
    if (view.process->may_lock_memory)
        rows.ok("memory limit", "QEMU may lock what it likes (CAP_IPC_LOCK)");
    else if (view.process->memlock_soft_bytes >= needed)
        rows.ok("memory limit", mib(needed) + " are needed and allowed");
    else
        rows.warn("memory limit",
                  mib(needed) + " are needed, " + mib(view.process->memlock_soft_bytes) +
                      " allowed",
                  "vmplug raises it for the time of the assignment");
}

void check_guest(const guest_view& view, check_rows& rows) {
    rows.ok("monitor", view.monitor + ", QEMU " + view.facts.version + ", " + view.facts.status);
    const auto free = std::ranges::find_if(view.facts.ports, &guest_port::is_free);
    if (free != view.facts.ports.end())
        rows.ok("free port", free->bus);
    else
        rows.fail("free port", "no port takes another device",
                  std::string(explain(error_code::no_free_port).remedy));
    if (!view.facts.migration.empty())
        rows.fail("migration", view.facts.migration,
                  std::string(explain(error_code::guest_not_ready).remedy));
    if (view.facts.vfio_pci)
        rows.ok("device model", "vfio-pci");
    else if (view.facts.pci_assign)
        rows.ok("device model", "pci-assign");
    else
        rows.fail("device model", "this QEMU has neither vfio-pci nor pci-assign",
                  "use a QEMU with VFIO");
    check_memory(view, rows);
}

ink ink_of(const std::string& state) {
    if (state == "ok") return ink::good;
    return state == "warning" ? ink::doubtful : ink::bad;
}

} // namespace

command_task run_check(command_context& context, const invocation& asked) {
    const auto host = context.control.read_host(false, true);
    check_rows rows;
    check_iommu(host.iommu, rows);
    check_kernel(host, rows);
    check_modules(host, rows);
    if (asked.has("DEVICE")) {
        const auto address = find_device(host, asked.value("DEVICE"));
        if (address.has_error())
            rows.fail("device", address.error());
        else
            check_device(host, *host.find(*address), context.control.read_abilities(host, *address),
                         rows);
    }
    if (asked.has("--vm")) {
        const auto view = co_await context.control.query_guest(asked.value("--vm"));
        if (view.has_error())
            rows.fail("monitor", view.error());
        else
            check_guest(*view, rows);
    }
    co_return rows.result();
}

std::string render_check(const json& value, const text_style& style) {
    if (!value.contains("checks")) return {};
    text_table table({"CHECK", "STATE", "EVIDENCE"});
    for (const auto& row : value["checks"])
        table.add({text_at(row, "check"),
                   {text_at(row, "state"), ink_of(text_at(row, "state"))},
                   text_at(row, "evidence")});
    auto text = table.format(style);
    for (const auto& row : value["checks"])
        if (!text_at(row, "remedy").empty())
            text +=
                escape_for_terminal(text_at(row, "check") + ": " + text_at(row, "remedy")) + "\n";
    return text;
}

} // namespace vmplug
