#include "command/handle/handlers.hpp"
#include "command/handle/host_view.hpp"
#include "command/render/json_text.hpp"
#include "command/render/remedies.hpp"
#include "command/text/json_member.hpp"
#include "judge/judge_device.hpp"
#include "judge/judge_guest.hpp"

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
                    remedy_of(each));
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

void check_guest(const situation& seen, const std::optional<host_address>& device,
                 check_rows& rows) {
    rows.ok("monitor", seen.monitor + ", QEMU " + seen.guest.version + ", " + seen.guest.status);
    guest_question asked;
    asked.device = device;
    rows.add(judge_guest(asked, seen).findings);
}

} // namespace

command_task run_check(command_context& context, const invocation& asked) {
    auto seen = look_at_host(context, true);
    check_rows rows;
    check_iommu(seen.host.iommu, rows);
    check_kernel(seen.host, rows);
    check_modules(seen.host, rows);
    result<guest_view> view = guest_view();
    if (asked.has("--vm")) view = co_await context.control.query_guest(asked.text("--vm"));
    if (view.has_value()) {
        seen.guest = view->facts;
        seen.qemu = view->process;
        seen.monitor = view->monitor;
    }
    std::optional<host_address> device;
    if (asked.has("DEVICE")) {
        const auto address = find_device(seen.host, asked.text("DEVICE"));
        if (address.has_value()) {
            device = *address;
            seen.host.abilities[*address] = context.control.read_abilities(seen.host, *address);
            rows.add(judge_device(device_question(), seen, *seen.host.find(*address)).findings);
        } else {
            rows.fail("device", address.error());
        }
    }
    if (view.has_error()) {
        rows.fail("monitor", view.error());
    } else if (asked.has("--vm")) {
        if (device) seen.view = context.control.view_device(seen.host, seen.qemu, *device);
        check_guest(seen, device, rows);
    }
    co_return rows.result();
}

} // namespace vmplug
