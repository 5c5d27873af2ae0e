#include "plan/attach_checks.hpp"

#include <algorithm>

namespace vmplug {
namespace {

std::string join(const std::vector<std::string>& parts) {
    std::string text;
    for (const auto& each : parts)
        text += (text.empty() ? "" : "; ") + each;
    return text;
}

void refuse(attach_choice& choice, error_code code, const host_address& where, std::string text,
            std::string remedy = {}) {
    choice.refusals.push_back({code, format_address(where), std::move(text), std::move(remedy)});
}

void check_iommu(const situation& seen, const pci_function& function, attach_choice& choice) {
    // pci-stub alone asks nothing of an IOMMU; the guest that gets the device will.
    if (function.iommu_group || (choice.host_driver == "pci-stub" && !choice.for_guest)) return;
    std::string evidence = "the function is in no IOMMU group";
    if (!seen.host.iommu.enabled)
        evidence = seen.host.iommu.firmware_table
                       ? "this kernel uses no IOMMU, although the chipset has one"
                       : "this kernel uses no IOMMU, and the firmware shows none";
    refuse(choice, error_code::no_iommu, function.address, evidence);
}

void check_critical(const attach_request& request, const situation& seen,
                    const pci_function& function, attach_choice& choice) {
    const auto uses = seen.host.critical.find(function.address);
    if (uses == seen.host.critical.end()) return;
    if (request.force)
        choice.notes.push_back("forced: " + join(uses->second));
    else
        refuse(choice, error_code::device_critical, function.address, join(uses->second));
}

void check_group(const attach_request& request, const situation& seen, const pci_function& function,
                 attach_choice& choice) {
    for (const auto& verdict : judge_group(seen.host, function)) {
        if (verdict.viable) continue;
        const auto* neighbour = seen.host.find(verdict.address);
        if (request.with_group && neighbour) {
            choice.to_bind.push_back(neighbour);
            choice.notes.push_back("the neighbour " + format_address(verdict.address) + " leaves " +
                                   verdict.driver + " too");
            check_critical(request, seen, *neighbour, choice);
            continue;
        }
        refuse(choice, error_code::group_not_viable, function.address,
               "its neighbour " + format_address(verdict.address) + " in IOMMU group " +
                   std::to_string(*function.iommu_group) + ": " + verdict.reason);
    }
}

/// A group has one user at a time: VFIO gives it to one process.
void check_group_users(const situation& seen, const pci_function& function, attach_choice& choice) {
    if (!function.iommu_group) return;
    const auto users = seen.host.group_users.find(*function.iommu_group);
    if (users == seen.host.group_users.end()) return;
    for (const auto& user : users->second) {
        if (seen.qemu && user.pid == seen.qemu->identity.pid) continue;
        refuse(choice, error_code::device_assigned, function.address,
               "IOMMU group " + std::to_string(*function.iommu_group) + " is in use by process " +
                   std::to_string(user.pid) + " (" + user.command.substr(0, 60) + ")");
        return;
    }
}

void check_owner(const situation& seen, const pci_function& function, attach_choice& choice) {
    const auto device = format_address(function.address);
    for (const auto& present : seen.guest.devices)
        if (auto host = parse_host_address(present.host);
            host.has_value() && *host == function.address)
            return refuse(choice, error_code::device_assigned, function.address,
                          "this guest has it already, as " + present.qdev_id);
    for (const auto& record : seen.assigned)
        if (record.kind == operation_kind::attach && field(record.subject, "device") == device)
            return refuse(choice, error_code::device_assigned, function.address,
                          "it is assigned to " + field(record.subject, "guest") + " as " +
                              field(record.subject, "id") + " (operation " +
                              std::to_string(record.number) + ")");
    // pci-assign leaves no open group behind: the command line of its QEMU is what tells.
    for (const auto& qemu : seen.host.qemus)
        if (function.driver == "pci-stub" &&
            std::ranges::find(qemu.hosts, function.address) != qemu.hosts.end())
            return refuse(choice, error_code::device_assigned, function.address,
                          "QEMU process " + std::to_string(qemu.identity.pid) +
                              " was started with it");
    check_group_users(seen, function, choice);
}

/// An unfinished operation may still bring any device of its group home, under whoever has one by
/// then: the whole group waits for it.
void check_open_operations(const situation& seen, const pci_function& function,
                           attach_choice& choice) {
    if (const auto* record = find_unsettled(seen, format_address(function.address)))
        refuse(choice, error_code::operation_conflict, function.address,
               "operation " + std::to_string(record->number) + " (" +
                   std::string(kind_name(record->kind)) + " of " +
                   field(record->subject, "device") + ") is not settled");
}

void check_driver(const situation& seen, const pci_function& function, attach_choice& choice) {
    const auto module = seen.host.modules.find(choice.host_driver);
    if (module == seen.host.modules.end() || module->second != module_state::missing) return;
    refuse(choice, error_code::driver_unavailable, function.address,
           "this kernel has no " + choice.host_driver);
}

/// QEMU shares no interrupt line with the host (pci-assign); VFIO can when the device can mask its
/// interrupt, which its driver finds out when the guest switches it on.
void check_interrupts(const situation& seen, const pci_function& function, attach_choice& choice) {
    const auto known = seen.host.abilities.find(function.address);
    if (known == seen.host.abilities.end()) return;
    if (known->second.dead)
        return refuse(choice, error_code::device_dead, function.address,
                      "its configuration space reads as ones");
    if (!known->second.shares_interrupt()) return;
    const auto words = describe_shared_interrupt(known->second);
    if (choice.host_driver == "pci-stub" && choice.for_guest)
        refuse(choice, error_code::interrupt_shared, function.address, words);
    else
        choice.notes.push_back(words + ": it may not interrupt in the guest");
}

void check_display(const attach_request& request, const pci_function& function,
                   attach_choice& choice) {
    if (!function.is_display()) return;
    if (choice.host_driver == "pci-stub" && choice.for_guest && !request.force)
        refuse(choice, error_code::device_is_display, function.address, display_words);
    else
        choice.notes.emplace_back(display_words);
}

/// new_id makes pci-stub take every device of those ids that has no driver.
void check_twins(const situation& seen, attach_choice& choice) {
    for (const auto* function : choice.to_bind) {
        if (!uses_new_id(*function, choice.binding)) continue;
        for (const auto& other : seen.host.functions) {
            const bool twin = other.vendor == function->vendor && other.device == function->device;
            const bool known = std::ranges::find(choice.to_bind, &other) != choice.to_bind.end();
            if (twin && !known && other.driver.empty())
                refuse(choice, error_code::twin_unbound, function->address,
                       "new_id would make " + choice.host_driver + " take " +
                           format_address(other.address) +
                           " too: it has the same ids and no driver");
        }
    }
}

} // namespace

bool uses_new_id(const pci_function& function, binding_way way) {
    if (way == binding_way::automatic) return !function.has_driver_override;
    return way == binding_way::new_id;
}

void check_host(const attach_request& request, const situation& seen, attach_choice& choice) {
    const auto* function = seen.host.find(request.device);
    if (!function)
        return refuse(choice, error_code::device_not_found, request.device,
                      "this host has no such PCI function", "`vmplug devices` lists what it has");
    if (function->is_bridge())
        return refuse(choice, error_code::device_is_bridge, request.device,
                      "it is a bridge (class " + std::to_string(function->class_code >> 16) + ")");
    choice.binding = request.binding;
    choice.to_bind.push_back(function);
    check_iommu(seen, *function, choice);
    check_owner(seen, *function, choice);
    check_open_operations(seen, *function, choice);
    check_critical(request, seen, *function, choice);
    check_group(request, seen, *function, choice);
    check_driver(seen, *function, choice);
    check_interrupts(seen, *function, choice);
    check_display(request, *function, choice);
    check_twins(seen, choice);
}

} // namespace vmplug
