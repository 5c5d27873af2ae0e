#pragma once

#include "judge/situation.hpp"

#include <vmplug/finding.hpp>
#include <vmplug/plan.hpp>

namespace vmplug {

/// What a guest is asked to take.
struct guest_question {
    std::optional<host_address> device; ///< nothing: any
    std::string id;                     ///< empty: `default_id`
    std::string port;                   ///< a bus; empty: a free one
    assignment_driver driver = assignment_driver::automatic;
};

/// What was found, and what was chosen. The pointers are into the situation's guest.
struct guest_judgement {
    std::vector<finding> findings;
    std::string id;
    const guest_port* port = nullptr; ///< nullptr: none will do
    bool name_port = true;            ///< say bus= to QEMU
    const device_model* model = nullptr;
    std::string host_driver; ///< "vfio-pci" or "pci-stub"
};

/// Judges whether a guest can take a device: its state, the id, the port, the device model, its
/// IOMMU, what its QEMU sees of the device and may open, the memory that it may lock. Pure.
guest_judgement judge_guest(const guest_question& asked, const situation& seen);

/// Whether an operation in the journal concerns this guest: the same process.
bool is_same_guest(const operation_record& record, const situation& seen);

/// Whether VFIO will find no limit that it needs raised.
bool may_lock_enough(const qemu_process& qemu, const guest_facts& guest);

/// The id that an attach without --id gets.
std::string default_id(const host_address& device);

} // namespace vmplug
