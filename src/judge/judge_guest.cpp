#include "judge/judge_guest.hpp"

#include "judge/judge_view.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace vmplug {
namespace {

constexpr std::size_t id_length_max = 127;

/// QEMU's own rule for ids (id_wellformed).
bool is_well_formed(const std::string& id) {
    if (id.empty() || id.size() > id_length_max) return false;
    if (!std::isalpha(static_cast<unsigned char>(id.front()))) return false;
    return std::ranges::all_of(id, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_';
    });
}

std::string mib(std::uint64_t bytes) {
    return std::to_string(bytes >> 20) + " MiB";
}

class judge {
public:
    judge(const guest_question& asked, const situation& seen)
        : asked_(asked), seen_(seen), guest_(seen.guest) {}

    guest_judgement run() {
        look_at_state();
        look_at_id();
        choose_model();
        if (asked_.port.empty())
            choose_port();
        else
            look_at_named_port();
        look_at_iommu();
        if (made_.host_driver == "vfio-pci") {
            if (asked_.device)
                std::ranges::move(judge_view(seen_, *asked_.device),
                                  std::back_inserter(made_.findings));
            look_at_memory();
        }
        return std::move(made_);
    }

private:
    void add(const char* check, verdict says, std::string evidence, std::string remedy = {}) {
        finding each;
        each.check = check;
        each.says = says;
        each.where = seen_.monitor;
        each.evidence = std::move(evidence);
        each.remedy = std::move(remedy);
        made_.findings.push_back(std::move(each));
    }
    void ok(const char* check, std::string evidence) {
        add(check, verdict::ok, std::move(evidence));
    }
    void warn(const char* check, std::string evidence, std::string remedy = {}) {
        add(check, verdict::warning, std::move(evidence), std::move(remedy));
    }
    finding& refuse(const char* check, error_code code, std::string evidence,
                    std::string remedy = {}) {
        add(check, verdict::refused, std::move(evidence), std::move(remedy));
        made_.findings.back().code = code;
        return made_.findings.back();
    }

    static void blame(request_field field, const std::string& asked_for, finding& refused) {
        refused.about = field;
        refused.where = asked_for;
    }

    void look_at_state() {
        const auto before = made_.findings.size();
        if (!guest_.migration.empty())
            refuse("migration", error_code::guest_not_ready,
                   "a migration is under way: " + guest_.migration);
        for (const char* state : {"inmigrate", "postmigrate", "finish-migrate", "shutdown"})
            if (guest_.status == state)
                refuse("guest", error_code::guest_not_ready,
                       std::string("the guest is in state ") + state);
        if (made_.findings.size() != before) return;
        if (guest_.running)
            ok("guest", "running");
        else
            warn("guest",
                 "the guest is " + guest_.status + ": it will see the device when it runs");
    }

    void look_at_id() {
        made_.id = asked_.id.empty() && asked_.device ? default_id(*asked_.device) : asked_.id;
        if (made_.id.empty()) return;
        if (!is_well_formed(made_.id))
            blame(request_field::id, made_.id.substr(0, 100),
                  refuse("id", error_code::invalid_argument, "this is not an id that QEMU takes",
                         "begin with a letter; then letters, digits, '-', '.', '_'; at most 127 of "
                         "them"));
        else if (const auto* other = guest_.find_device(made_.id))
            blame(request_field::id, made_.id,
                  refuse("id", error_code::duplicate_id,
                         "the guest has a " + other->type + " of that id"));
        else if (const auto* earlier = find_record_of(made_.id))
            blame(request_field::id, made_.id,
                  refuse("id", error_code::duplicate_id,
                         "operation " + std::to_string(earlier->number) +
                             " knows another device of the guest by that id"));
    }

    /// Of two devices of one id in one guest, the one that is taken back might be the other: also
    /// when the guest has let go of the first, and nobody has settled it yet.
    const operation_record* find_record_of(const std::string& id) const {
        for (const auto* records : {&seen_.open, &seen_.assigned})
            for (const auto& record : *records)
                if (field(record.subject, "id") == id && is_same_guest(record, seen_))
                    return &record;
        return nullptr;
    }

    void choose_model() {
        const auto module = seen_.host.modules.find("vfio-pci");
        const bool on_host =
            module != seen_.host.modules.end() && module->second != module_state::missing;
        bool use_vfio = asked_.driver == assignment_driver::vfio_pci;
        if (asked_.driver == assignment_driver::automatic)
            use_vfio = (guest_.vfio_pci && on_host) || !guest_.pci_assign;
        const auto& model = use_vfio ? guest_.vfio_pci : guest_.pci_assign;
        made_.host_driver = use_vfio ? "vfio-pci" : "pci-stub";
        made_.model = model ? &*model : nullptr;
        if (!model)
            refuse("device model", error_code::model_unavailable,
                   "QEMU " + guest_.version + " has no device model " +
                       (use_vfio ? "vfio-pci" : "pci-assign"),
                   use_vfio ? "Use a QEMU that was built with VFIO." : "");
        else
            ok("device model", use_vfio ? "vfio-pci" : "pci-assign");
        if (model && !use_vfio && asked_.driver == assignment_driver::automatic)
            warn("driver",
                 std::string("driver pci-assign, because ") +
                     (guest_.vfio_pci ? "this host has no vfio-pci" : "this QEMU has no vfio-pci"));
    }

    /// A port that an unsettled operation has taken, although QEMU does not show it occupied.
    bool is_reserved(const guest_port& port) const {
        return port.single_slot &&
               std::ranges::any_of(seen_.open, [&](const operation_record& record) {
                   return is_same_guest(record, seen_) && field(record.subject, "port") == port.bus;
               });
    }

    /// Why a port cannot be taken, empty when it can.
    std::string why_not(const guest_port& port) const {
        if (!port.takes_hot_add) return port.why_not.empty() ? "it takes no hot-add" : port.why_not;
        if (port.full) return "none of its slots is left";
        if (!port.is_free()) return "it is occupied by " + port.occupants.front();
        return is_reserved(port) ? "an unfinished operation has reserved it" : "";
    }

    void look_at_named_port() {
        const auto* port = guest_.find_port(asked_.port);
        const auto why = port ? why_not(*port) : "the guest has no such bus";
        if (why.empty()) return take(*port);
        blame(request_field::port, asked_.port.substr(0, 100),
              refuse("free port", error_code::port_unusable, why));
    }

    /// The first that is free, and of those rather one that the guest's IOMMU does not forbid.
    void choose_port() {
        const guest_port* free = nullptr;
        std::string state;
        for (const auto& port : guest_.ports) {
            const auto why = why_not(port);
            if (why.empty() && iommu_forbids(port).empty()) return take(port);
            if (why.empty() && !free) free = &port;
            state += (state.empty() ? "" : "; ") + port.bus + ": " + why;
        }
        if (free) return take(*free);
        refuse("free port", error_code::no_free_port,
               state.empty() ? "the guest shows no bus that takes a device" : state);
    }

    void take(const guest_port& port) {
        made_.port = &port;
        // The only bus: QEMU finds it by itself, as in the guide of 2010.
        made_.name_port = !asked_.port.empty() || port.bus != "pci.0" || guest_.ports.size() > 1;
        ok("free port", port.bus + (port.slot.empty() ? "" : ", slot " + port.slot));
    }

    /// Devices share an address space where no IOMMU of the guest's is in between, or none can tell
    /// them apart: behind one bridge to conventional PCI.
    bool share_addresses(const guest_port& port, const guest_device& other) const {
        const auto* its = guest_.find_port(other.bus);
        if (its == &port && !port.single_slot) return true;
        return port.bypasses_iommu && its && its->bypasses_iommu;
    }

    /// Why the guest's IOMMU keeps a device from a port, empty where it does not.
    std::string iommu_forbids(const guest_port& port) const {
        if (!guest_.iommu || made_.host_driver != "vfio-pci") return {};
        const bool behind = !port.bypasses_iommu || guest_.iommu->everywhere;
        if (behind && !guest_.iommu->why_not.empty())
            return "the guest's IOMMU (" + guest_.iommu->type +
                   ") takes no assigned device: " + guest_.iommu->why_not;
        if (!asked_.device) return {};
        const auto group = group_of(seen_, format_address(*asked_.device));
        for (const auto& other : guest_.devices) {
            const auto host = parse_host_address(other.host);
            if (!group || host.has_error() || *host == *asked_.device) continue;
            if (group_of(seen_, format_address(*host)) != group || share_addresses(port, other))
                continue;
            return "the guest has an IOMMU (" + guest_.iommu->type + ") and " +
                   format_address(*host) + " of the same IOMMU group " + std::to_string(*group) +
                   ": VFIO cannot give one group two address spaces";
        }
        return {};
    }

    void look_at_iommu() {
        if (!guest_.iommu || !made_.port || made_.host_driver != "vfio-pci") return;
        const auto why = iommu_forbids(*made_.port);
        if (!why.empty())
            refuse("guest IOMMU", error_code::guest_iommu, why);
        else
            ok("guest IOMMU", guest_.iommu->type + (made_.port->bypasses_iommu
                                                        ? ", which this bus bypasses"
                                                        : ", which tells VFIO what it maps"));
    }

    void look_at_memory() {
        if (!seen_.qemu)
            return warn("memory limit",
                        "QEMU's process is not known: its memlock limit is not looked at");
        const auto needed = mib(guest_.locked_bytes());
        if (seen_.qemu->may_lock_memory)
            ok("memory limit", "QEMU may lock what it likes (CAP_IPC_LOCK)");
        else if (may_lock_enough(*seen_.qemu, guest_))
            ok("memory limit", needed + " are needed and allowed");
        else if (is_credible(*seen_.qemu))
            warn("memory limit",
                 needed + " are needed, " + mib(seen_.qemu->memlock_soft_bytes) + " allowed",
                 "vmplug raises it for the time of the assignment");
    }

    /// A limit is raised on a guest's word: what it claims is held against its process and this
    /// host.
    bool is_credible(const qemu_process& qemu) {
        const auto ram = guest_.ram_bytes;
        const auto before = made_.findings.size();
        if (qemu.size_bytes != 0 && ram > qemu.size_bytes)
            refuse("memory limit", error_code::vm_unproven,
                   "the guest claims " + mib(ram) + " of RAM, and its process has no more than " +
                       mib(qemu.size_bytes) + " of memory",
                   "this is not what a QEMU says; look at what runs there");
        else if (qemu.host_memory_bytes != 0 && ram > qemu.host_memory_bytes)
            refuse("memory limit", error_code::memlock_too_low,
                   "VFIO would lock all of the guest's " + mib(ram) +
                       " of RAM, and this host has " + mib(qemu.host_memory_bytes),
                   "give the guest less memory");
        for (auto i = before; i < made_.findings.size(); ++i)
            made_.findings[i].where = "process " + std::to_string(qemu.identity.pid);
        return made_.findings.size() == before;
    }

    const guest_question& asked_;
    const situation& seen_;
    const guest_facts& guest_;
    guest_judgement made_;
};

} // namespace

bool is_same_guest(const operation_record& record, const situation& seen) {
    if (!seen.qemu) return field(record.subject, "monitor") == seen.monitor;
    return guest_process(record) == seen.qemu->identity;
}

bool may_lock_enough(const qemu_process& qemu, const guest_facts& guest) {
    const auto needed = guest.locked_bytes();
    return qemu.may_lock_memory || (needed >= guest.ram_bytes && qemu.memlock_soft_bytes >= needed);
}

std::string default_id(const host_address& device) {
    auto text = format_address(device);
    std::ranges::replace(text, ':', '-');
    return "host-" + text;
}

guest_judgement judge_guest(const guest_question& asked, const situation& seen) {
    return judge(asked, seen).run();
}

} // namespace vmplug
