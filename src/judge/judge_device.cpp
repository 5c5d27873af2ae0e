#include "judge/judge_device.hpp"

#include <algorithm>

namespace vmplug {
namespace {

class judge {
public:
    judge(const device_question& asked, const situation& seen, const pci_function& function)
        : asked_(asked), seen_(seen), host_(seen.host), function_(function),
          device_(format_address(function.address)) {
        made_.to_bind.push_back(&function);
    }

    device_judgement run() {
        if (function_.is_bridge()) {
            refuse("device", error_code::device_is_bridge, "a bridge belongs to the host");
            return std::move(made_);
        }
        look_at_class();
        look_at_iommu();
        look_at_owner();
        look_at_operations();
        look_at_uses(function_);
        look_at_group();
        look_at_driver();
        look_at_abilities();
        look_at_twins();
        return std::move(made_);
    }

private:
    finding& add(const char* check, verdict says, std::string evidence, std::string remedy = {}) {
        finding each;
        each.check = check;
        each.says = says;
        each.where = device_;
        each.evidence = std::move(evidence);
        each.remedy = std::move(remedy);
        made_.findings.push_back(std::move(each));
        return made_.findings.back();
    }
    void ok(const char* check, std::string evidence) {
        add(check, verdict::ok, std::move(evidence));
    }
    finding& warn(const char* check, std::string evidence, std::string remedy = {}) {
        return add(check, verdict::warning, std::move(evidence), std::move(remedy));
    }
    /// Of what would be refused with that code elsewhere, and is here only likely to fail.
    void warn(const char* check, error_code code, std::string evidence) {
        auto& each = warn(check, std::move(evidence));
        each.code = code;
        each.advised = advice::of_code;
    }
    finding& refuse(const char* check, error_code code, std::string evidence,
                    std::string remedy = {}) {
        auto& each = add(check, verdict::refused, std::move(evidence), std::move(remedy));
        each.code = code;
        return each;
    }

    bool for_pci_assign() const { return asked_.host_driver == "pci-stub" && asked_.for_guest; }

    void look_at_class() {
        if (!function_.is_display())
            ok("device class", "not a bridge, not a display adapter");
        else if (for_pci_assign())
            refuse("device class", error_code::device_is_display, display_words).may_be_forced =
                true;
        else
            warn("device class", error_code::device_is_display, display_words);
    }

    void look_at_iommu() {
        // pci-stub alone asks nothing of an IOMMU; the guest that gets the device will.
        if (asked_.host_driver == "pci-stub" && !asked_.for_guest) return;
        if (function_.iommu_group && !function_.no_iommu) return;
        std::string evidence = "the function is in no IOMMU group";
        if (function_.no_iommu)
            evidence = "its group is of VFIO's no-IOMMU mode: nothing isolates it";
        else if (!host_.iommu.enabled)
            evidence = host_.iommu.firmware_table
                           ? "this kernel uses no IOMMU, although the chipset has one"
                           : "this kernel uses no IOMMU, and the firmware shows none";
        auto& found = refuse("IOMMU group", error_code::no_iommu, evidence);
        // What has the device then can reach all of the host's memory. QEMU takes none of these.
        found.may_be_forced = !asked_.for_guest && host_.iommu.unsafe_mode;
        if (found.may_be_forced) found.advised = advice::force_without_iommu;
    }

    /// A group has one user at a time: VFIO gives it to one process.
    void look_at_owner() {
        const auto before = made_.findings.size();
        for (const auto& present : seen_.guest.devices)
            if (auto host = parse_host_address(present.host);
                host.has_value() && *host == function_.address)
                refuse("owner", error_code::device_assigned,
                       "this guest has it already, as " +
                           (present.qdev_id.empty() ? present.qom_path : present.qdev_id));
        look_at_records();
        // pci-assign leaves no open group behind: the command line of its QEMU is what tells.
        for (const auto& qemu : host_.qemus)
            if (function_.driver == "pci-stub" &&
                std::ranges::find(qemu.hosts, function_.address) != qemu.hosts.end())
                refuse("owner", error_code::device_assigned,
                       "QEMU process " + std::to_string(qemu.identity.pid) +
                           " was started with it");
        if (made_.findings.size() == before) look_at_group_users();
        if (made_.findings.size() == before) ok("owner", "no guest has it");
    }

    void look_at_records() {
        for (const auto& record : seen_.assigned) {
            if (field(record.subject, "device") != device_) continue;
            const auto number = " (operation " + std::to_string(record.number) + ")";
            if (record.kind == operation_kind::attach)
                refuse("owner", error_code::device_assigned,
                       "it is assigned to " + field(record.subject, "guest") + " as " +
                           field(record.subject, "id") + number);
            else if (!asked_.for_guest)
                refuse("owner", error_code::device_assigned, "vmplug has bound it already" + number)
                    .advised = advice::release;
        }
    }

    void look_at_group_users() {
        if (!function_.iommu_group) return;
        const auto users = host_.group_users.find(*function_.iommu_group);
        if (users == host_.group_users.end()) return;
        for (const auto& user : users->second) {
            if (seen_.qemu && user.pid == seen_.qemu->identity.pid) continue;
            refuse("owner", error_code::device_assigned,
                   "IOMMU group " + std::to_string(*function_.iommu_group) +
                       " is in use by process " + std::to_string(user.pid) + " (" +
                       user.command.substr(0, 60) + ")");
            return;
        }
    }

    /// An unfinished operation may still bring any device of its group home, under whoever has one
    /// by then: the whole group waits for it.
    void look_at_operations() {
        if (const auto* record = find_unsettled(seen_, device_))
            refuse("operations", error_code::operation_conflict,
                   "operation " + std::to_string(record->number) + " (" +
                       std::string(kind_name(record->kind)) + " of " +
                       field(record->subject, "device") + ") is not settled");
    }

    void look_at_uses(const pci_function& function) {
        const auto uses = host_.uses.find(function.address);
        if (uses == host_.uses.end()) {
            if (&function == &function_)
                ok("host's use", "the host does not depend on it, and no process has it open");
            return;
        }
        for (const auto& use : uses->second) {
            auto& found = refuse("host's use", code_of(use), use.text);
            found.where = format_address(function.address);
            found.may_be_forced = true;
        }
    }

    static error_code code_of(const device_use& use) {
        switch (use.is) {
        case device_use::kind::needed:
            return error_code::device_critical;
        case device_use::kind::open:
            return error_code::device_in_use;
        case device_use::kind::unclear:
            break;
        }
        return error_code::device_unclear;
    }

    void look_at_group() {
        if (!function_.iommu_group || function_.no_iommu) return;
        const auto group = std::to_string(*function_.iommu_group);
        const auto members = judge_group(host_, function_);
        if (members.empty()) return ok("IOMMU group", "group " + group + ": alone in it");
        for (const auto& member : members) {
            const auto name = format_address(member.address);
            if (member.viable) {
                ok("IOMMU group", "group " + group + ", " + name + ": " + member.reason);
                continue;
            }
            const auto* neighbour = host_.find(member.address);
            if (asked_.with_group && neighbour) {
                made_.to_bind.push_back(neighbour);
                warn("IOMMU group", "the neighbour " + name + " leaves " + member.driver + " too");
                look_at_uses(*neighbour);
                continue;
            }
            refuse("IOMMU group", error_code::group_not_viable,
                   "its neighbour " + name + " in IOMMU group " + group + ": " + member.reason);
        }
    }

    void look_at_driver() {
        const auto module = host_.modules.find(asked_.host_driver);
        if (module != host_.modules.end() && module->second == module_state::missing)
            refuse("driver", error_code::driver_unavailable,
                   "this kernel has no " + asked_.host_driver);
    }

    void look_at_abilities() {
        const auto known = host_.abilities.find(function_.address);
        if (known == host_.abilities.end()) return;
        const auto& abilities = known->second;
        if (abilities.dead) {
            refuse("device", error_code::device_dead, "its configuration space reads as ones");
            return;
        }
        if (abilities.configuration_readable) look_at_bridge(abilities);
        look_at_interrupts(abilities);
        if (abilities.reset_methods.empty())
            warn("reset", "the kernel knows no way to reset this function alone",
                 "its state may survive from one guest to the next");
        else
            ok("reset", abilities.reset_methods);
    }

    /// Behind a bridge to conventional PCI the IOMMU cannot tell the functions apart.
    void look_at_bridge(const function_abilities& abilities) {
        if (abilities.express) return ok("bridge", "PCI Express: no bridge ties it to others");
        const auto mates = find_bridge_mates(host_, function_);
        if (function_.upstream.empty() || mates.empty())
            return ok("bridge", "conventional PCI, alone behind its bridge");
        std::string list;
        for (const auto* mate : mates)
            list += (list.empty() ? "" : ", ") + format_address(mate->address);
        warn("bridge", "conventional PCI behind the bridge " +
                           format_address(function_.upstream.back()) + ": it goes together with " +
                           list)
            .advised = advice::attach_with_group;
    }

    /// QEMU shares no interrupt line with the host (pci-assign); VFIO can when the device can mask
    /// its interrupt, which its driver finds out when the guest switches it on.
    void look_at_interrupts(const function_abilities& abilities) {
        const auto found = describe_interrupts(abilities);
        if (abilities.shares_interrupt() && for_pci_assign())
            refuse("interrupts", error_code::interrupt_shared,
                   describe_shared_interrupt(abilities));
        else if (abilities.shares_interrupt())
            warn("interrupts", error_code::interrupt_shared,
                 describe_shared_interrupt(abilities) + ": it may not interrupt in the guest");
        else if (!abilities.configuration_readable)
            warn("interrupts", "not known: the capabilities are readable by root alone").advised =
                advice::check_as_root;
        else
            ok("interrupts", found + (abilities.msi ? "" : ", on a line of its own"));
    }

    static std::string describe_interrupts(const function_abilities& abilities) {
        std::string found;
        const auto add = [&](const std::string& each) {
            found += (found.empty() ? "" : ", ") + each;
        };
        if (abilities.msix) add("MSI-X");
        if (abilities.msi) add("MSI");
        if (abilities.interrupt_pin != 0)
            add(std::string("INT") + static_cast<char>('A' + (abilities.interrupt_pin - 1) % 4));
        return found.empty() ? "none" : found;
    }

    /// new_id makes pci-stub take every device of those ids that has no driver.
    void look_at_twins() {
        for (const auto* function : made_.to_bind) {
            if (!uses_new_id(*function, asked_.binding)) continue;
            for (const auto& other : host_.functions) {
                const bool twin =
                    other.vendor == function->vendor && other.device == function->device;
                const bool known = std::ranges::find(made_.to_bind, &other) != made_.to_bind.end();
                if (twin && !known && other.driver.empty())
                    refuse("twins", error_code::twin_unbound,
                           "new_id would make " + asked_.host_driver + " take " +
                               format_address(other.address) +
                               " too: it has the same ids and no driver");
            }
        }
    }

    const device_question& asked_;
    const situation& seen_;
    const host_facts& host_;
    const pci_function& function_;
    std::string device_;
    device_judgement made_;
};

} // namespace

bool uses_new_id(const pci_function& function, binding_way way) {
    return way == binding_way::new_id ||
           (way == binding_way::automatic && !function.has_driver_override);
}

device_judgement judge_device(const device_question& asked, const situation& seen,
                              const pci_function& function) {
    return judge(asked, seen, function).run();
}

} // namespace vmplug
