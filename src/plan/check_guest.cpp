#include "plan/attach_checks.hpp"

#include <algorithm>
#include <cctype>

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

void check_id(const situation& seen, attach_choice& choice) {
    if (!is_well_formed(choice.id)) {
        choice.refusals.push_back({error_code::invalid_argument, "--id " + choice.id.substr(0, 100),
                                   "this is not an id that QEMU takes",
                                   "begin with a letter; then letters, digits, '-', '.', '_'; at "
                                   "most 127 of them"});
        return;
    }
    if (const auto* other = seen.guest.find_device(choice.id))
        choice.refusals.push_back({error_code::duplicate_id,
                                   "--id " + choice.id,
                                   "the guest has a " + other->type + " of that id",
                                   {}});
}

/// A port that an unsettled operation has taken, although QEMU does not show it occupied.
bool is_reserved(const situation& seen, const std::string& bus) {
    return std::ranges::any_of(seen.open, [&](const operation_record& record) {
        return is_same_guest(record, seen) && field(record.subject, "port") == bus;
    });
}

void check_named_port(const attach_request& request, const situation& seen, attach_choice& choice) {
    const auto where = "--port " + request.port.substr(0, 100);
    const auto* port = seen.guest.find_port(request.port);
    std::string why;
    if (!port)
        why = "the guest has no such bus";
    else if (!port->takes_hot_add)
        why = port->why_not;
    else if (!port->is_free())
        why = "it is occupied by " + port->occupants.front();
    else if (port->single_slot && is_reserved(seen, port->bus))
        why = "an unfinished operation has reserved it";
    if (why.empty())
        choice.port = port;
    else
        choice.refusals.push_back({error_code::port_unusable, where, why, {}});
}

void choose_port(const situation& seen, attach_choice& choice) {
    std::string state;
    for (const auto& port : seen.guest.ports) {
        const bool reserved = port.single_slot && is_reserved(seen, port.bus);
        if (port.is_free() && !reserved) {
            choice.port = &port;
            // The only bus of its kind: QEMU finds it by itself, as in the guide of 2010.
            choice.name_port = port.bus != "pci.0";
            return;
        }
        const std::string why = reserved             ? "reserved"
                                : port.takes_hot_add ? "occupied by " + port.occupants.front()
                                                     : port.why_not;
        state += (state.empty() ? "" : "; ") + port.bus + ": " + why;
    }
    choice.refusals.push_back({error_code::no_free_port,
                               seen.monitor,
                               state.empty() ? "the guest shows no bus that takes a device" : state,
                               {}});
}

void choose_model(const attach_request& request, const situation& seen, attach_choice& choice) {
    const auto vfio_module = seen.host.modules.find("vfio-pci");
    const bool vfio_on_host =
        vfio_module != seen.host.modules.end() && vfio_module->second != module_state::missing;
    const bool vfio = seen.guest.vfio_pci && vfio_on_host;
    bool use_vfio = request.driver == assignment_driver::vfio_pci;
    if (request.driver == assignment_driver::automatic) {
        use_vfio = vfio || !seen.guest.pci_assign;
        if (!use_vfio)
            choice.notes.push_back(
                std::string("driver pci-assign, because ") +
                (seen.guest.vfio_pci ? "this host has no vfio-pci" : "this QEMU has no vfio-pci"));
    }
    const auto& model = use_vfio ? seen.guest.vfio_pci : seen.guest.pci_assign;
    choice.host_driver = use_vfio ? "vfio-pci" : "pci-stub";
    choice.model = model ? &*model : nullptr;
    if (!model)
        choice.refusals.push_back({error_code::model_unavailable, seen.monitor,
                                   std::string("QEMU ") + seen.guest.version +
                                       " has no device model " +
                                       (use_vfio ? "vfio-pci" : "pci-assign"),
                                   use_vfio ? "Use a QEMU that was built with VFIO." : ""});
}

} // namespace

bool is_same_guest(const operation_record& record, const situation& seen) {
    if (!seen.qemu) return field(record.subject, "monitor") == seen.monitor;
    return guest_process(record) == seen.qemu->identity;
}

void check_guest(const attach_request& request, const situation& seen, attach_choice& choice) {
    if (!seen.guest.migration.empty())
        choice.refusals.push_back({error_code::guest_not_ready,
                                   seen.monitor,
                                   "a migration is under way: " + seen.guest.migration,
                                   {}});
    for (const char* state : {"inmigrate", "postmigrate", "finish-migrate", "shutdown"})
        if (seen.guest.status == state)
            choice.refusals.push_back({error_code::guest_not_ready,
                                       seen.monitor,
                                       std::string("the guest is in state ") + state,
                                       {}});
    if (!seen.guest.running && choice.refusals.empty())
        choice.notes.push_back("the guest is " + seen.guest.status +
                               ": it will see the device when it runs");
    choice.id = request.id.empty() ? default_id(request.device) : request.id;
    check_id(seen, choice);
    if (request.port.empty())
        choose_port(seen, choice);
    else
        check_named_port(request, seen, choice);
    choose_model(request, seen, choice);
}

} // namespace vmplug
