#pragma once

#include "plan/plan_attach.hpp"

namespace vmplug {

/// What was chosen for an attach while its reasons against were collected.
struct attach_choice {
    std::string id;
    const guest_port* port = nullptr;
    bool name_port = true; ///< say bus= to QEMU
    const device_model* model = nullptr;
    std::string host_driver;
    bool for_guest = true; ///< false: the host's half alone
    binding_way binding = binding_way::automatic;
    std::vector<const pci_function*> to_bind; ///< the device and the neighbours that go along
    std::vector<std::string> notes;
    std::vector<error> refusals;
};

/// The guest's half, as it is judged: its state, the id, the port, the device model, what QEMU
/// sees.
void check_guest(const attach_request& request, const situation& seen, attach_choice& choice);

/// The host's half, as it is judged: the function, its group, who uses it, what depends on it.
void check_host(const attach_request& request, const situation& seen, attach_choice& choice);

} // namespace vmplug
