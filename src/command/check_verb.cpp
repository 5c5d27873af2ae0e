#include "command/handlers.hpp"
#include "command/host_view.hpp"
#include "command/json_text.hpp"
#include "command/terminal_text.hpp"
#include "judge/judge_device.hpp"

#include <algorithm>
#include <optional>

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
    void fail(const char* name, error_code code, std::string evidence, std::string remedy = {}) {
        fail(name, error{code, name, std::move(evidence), std::move(remedy)});
    }
    void fail(const std::string& name, const error& failure) {
        auto& row = add(name, "missing", failure.text, remedy_of(failure));
        row["code"] = code_name(failure.code);
        if (!first_) first_ = failure;
    }
    void add(const std::vector<finding>& findings) {
        for (const auto& each : findings) {
            if (each.says == verdict::refused)
                fail(each.check, to_error(each));
            else
                add(each.check, each.says == verdict::ok ? "ok" : "warning", each.evidence,
                    each.remedy);
        }
    }
    command_result result() {
        command_result made;
        made.value = {{"outcome", first_ ? "refused" : "done"}, {"checks", std::move(rows_)}};
        if (first_) made.value["error"] = to_json(*first_);
        made.exit_code = first_ ? exit_code(outcome::refused) : 0;
        return made;
    }

private:
    json& add(const std::string& name, const char* state, std::string evidence,
              std::string remedy) {
        rows_.push_back({{"check", name},
                         {"state", state},
                         {"evidence", std::move(evidence)},
                         {"remedy", std::move(remedy)}});
        return rows_.back();
    }
    json rows_ = json::array();
    std::optional<error> first_;
};

void check_iommu(const iommu_evidence& iommu, check_rows& rows) {
    const auto log = iommu.log_lines.empty() ? std::string() : " (" + iommu.log_lines.front() + ")";
    if (iommu.enabled)
        rows.ok(
            "IOMMU",
            "in use: " + (iommu.units.empty() ? "there are IOMMU groups" : join(iommu.units, " ")) +
                log);
    else if (!iommu.firmware_table)
        rows.fail("IOMMU", error_code::no_iommu,
                  "No IOMMU found: the firmware shows no DMAR or IVRS table" + log,
                  "switch VT-d (Intel) or AMD-Vi on in the firmware; some chipsets have none");
    else
        rows.fail(
            "IOMMU", error_code::no_iommu,
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
        rows.fail("kernel", error_code::no_iommu, "built without DMA remapping: " + list,
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
        rows.fail(name, error_code::driver_unavailable, "this kernel has no such module", remedy);
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
        rows.fail("free port", error_code::no_free_port, "no port takes another device");
    if (!view.facts.migration.empty())
        rows.fail("migration", error_code::guest_not_ready, view.facts.migration);
    if (view.facts.vfio_pci)
        rows.ok("device model", "vfio-pci");
    else if (view.facts.pci_assign)
        rows.ok("device model", "pci-assign");
    else
        rows.fail("device model", error_code::model_unavailable,
                  "this QEMU has neither vfio-pci nor pci-assign", "use a QEMU with VFIO");
    check_memory(view, rows);
}

ink ink_of(const std::string& state) {
    if (state == "ok") return ink::good;
    return state == "warning" ? ink::doubtful : ink::bad;
}

} // namespace

command_task run_check(command_context& context, const invocation& asked) {
    auto seen = look_at_host(context, true);
    check_rows rows;
    check_iommu(seen.host.iommu, rows);
    check_kernel(seen.host, rows);
    check_modules(seen.host, rows);
    result<guest_view> view = guest_view();
    if (asked.has("--vm")) view = co_await context.control.query_guest(asked.value("--vm"));
    if (view.has_value()) {
        seen.guest = view->facts;
        seen.qemu = view->process;
        seen.monitor = view->monitor;
    }
    if (asked.has("DEVICE")) {
        const auto address = find_device(seen.host, asked.value("DEVICE"));
        if (address.has_value()) {
            seen.host.abilities[*address] = context.control.read_abilities(seen.host, *address);
            rows.add(judge_device(device_question(), seen, *seen.host.find(*address)).findings);
        } else {
            rows.fail("device", address.error());
        }
    }
    if (view.has_error())
        rows.fail("monitor", view.error());
    else if (asked.has("--vm"))
        check_guest(*view, rows);
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
