#include "plan/plan_attach.hpp"

#include "judge/judge_device.hpp"
#include "judge/judge_guest.hpp"
#include "plan/attach_checks.hpp"
#include "plan/property_text.hpp"
#include "qapi/qdev.hpp"
#include "qapi/write_json.hpp"
#include "step/confirm_guest.hpp"
#include "step/device_add.hpp"
#include "step/load_module.hpp"
#include "step/set_binding.hpp"
#include "step/set_memlock.hpp"

#include <algorithm>
#include <cstdio>

namespace vmplug {
namespace {

std::string format_ids(const pci_function& function) {
    char text[16];
    std::snprintf(text, sizeof text, "%04x %04x", function.vendor, function.device);
    return text;
}

step bind_step(const pci_function& function, const std::string& driver, binding_way way) {
    set_binding_arguments made;
    made.device = function.address;
    made.target.driver = driver;
    if (uses_new_id(function, way))
        made.new_id = format_ids(function);
    else
        made.target.driver_override = driver;
    return made.to_step();
}

std::optional<step> memlock_step(const situation& seen, const attach_choice& choice) {
    if (choice.host_driver != "vfio-pci" || !seen.qemu || may_lock_enough(*seen.qemu, seen.guest))
        return std::nullopt;
    auto needed = seen.guest.locked_bytes();
    // The allowance for device memory never makes it more than there is.
    if (seen.qemu->host_memory_bytes != 0) needed = std::min(needed, seen.qemu->host_memory_bytes);
    if (seen.qemu->memlock_soft_bytes >= needed) return std::nullopt;
    return set_memlock_arguments{seen.qemu->identity, needed, {}}.to_step();
}

/// The JSON object of device_add.
result<std::string> device_add_json(const attach_request& request, const attach_choice& choice) {
    qapi::device_add add;
    add.driver = choice.host_driver == "pci-stub" ? "pci-assign" : choice.model->type;
    add.host = format_address_short(request.device);
    add.id = choice.id;
    if (choice.name_port) add.bus = choice.port->bus;
    // QEMU accepts a second device on an occupied port unless the slot is named.
    const auto slot = choice.port->single_slot ? std::string("0x0") : choice.port->slot;
    if (!slot.empty() && !request.properties.contains("addr"))
        add.properties.emplace_back("addr", qapi::quote_json(slot));
    for (const auto& [name, value] : request.properties) {
        if (name == "driver" || name == "host" || name == "id" || name == "bus" ||
            (name == "addr" && choice.port->single_slot))
            return error{error_code::invalid_argument,
                         name,
                         "vmplug sets this property itself",
                         {},
                         advice::use_own_option,
                         request_field::property};
        auto typed = type_property(*choice.model, name, value);
        if (typed.has_error()) return typed.error();
        add.properties.emplace_back(name, std::move(*typed));
    }
    return add.encode();
}

void add_binding_steps(const situation& seen, attach_choice& choice, plan& made) {
    const auto module = seen.host.modules.find(choice.host_driver);
    if (module != seen.host.modules.end() && module->second == module_state::available)
        made.steps.push_back(
            load_module_arguments{choice.host_driver, choice.host_driver}.to_step());
    // Neighbours first: the device itself is away from its driver for the shortest time.
    std::ranges::reverse(choice.to_bind);
    for (const auto* function : choice.to_bind)
        if (function->driver != choice.host_driver)
            made.steps.push_back(bind_step(*function, choice.host_driver, choice.binding));
}

void add_steps(const attach_request& request, const situation& seen, attach_choice& choice,
               std::string json, plan& made) {
    add_binding_steps(seen, choice, made);
    if (auto raise = memlock_step(seen, choice)) made.steps.push_back(std::move(*raise));
    made.forward_from = static_cast<int>(made.steps.size());
    made.steps.push_back(device_add_arguments{choice.id, std::move(json)}.to_step());
    if (request.wait_guest.count() > 0)
        made.steps.push_back(confirm_guest_arguments{choice.id, request.wait_guest}.to_step());
}

fields describe_subject(const attach_request& request, const situation& seen,
                        const attach_choice& choice) {
    fields subject{{"device", format_address(request.device)},
                   {"guest", seen.guest.name},
                   {"monitor", seen.monitor},
                   {"id", choice.id}};
    if (choice.port) subject["port"] = choice.port->bus;
    if (!seen.qemu) return subject;
    subject["guest_pid"] = std::to_string(seen.qemu->identity.pid);
    subject["guest_start"] = std::to_string(seen.qemu->identity.start_time);
    subject["boot_id"] = seen.qemu->identity.boot_id;
    return subject;
}

} // namespace

plan plan_bind(const bind_request& request, const situation& seen) {
    attach_request half;
    half.device = request.device;
    half.with_group = request.with_group;
    half.force = request.force;
    half.binding = request.binding;
    attach_choice choice;
    choice.for_guest = false;
    choice.host_driver = request.driver == assignment_driver::pci_assign ? "pci-stub" : "vfio-pci";
    check_host(half, seen, choice);
    plan made;
    made.subject["device"] = format_address(request.device);
    if (choice.refusals.empty()) add_binding_steps(seen, choice, made);
    // A bind that stopped half-way goes back; one that had done all of it stands.
    made.forward_from = static_cast<int>(made.steps.size()) - 1;
    made.notes = std::move(choice.notes);
    made.refusals = std::move(choice.refusals);
    return made;
}

plan plan_attach(const attach_request& request, const situation& seen) {
    attach_choice choice;
    check_guest(request, seen, choice);
    check_host(request, seen, choice);
    plan made;
    made.subject = describe_subject(request, seen, choice);
    if (choice.port && choice.model) {
        auto json = device_add_json(request, choice);
        if (json.has_error())
            choice.refusals.push_back(json.error());
        else if (choice.refusals.empty())
            add_steps(request, seen, choice, std::move(*json), made);
    }
    made.notes = std::move(choice.notes);
    made.refusals = std::move(choice.refusals);
    return made;
}

} // namespace vmplug
