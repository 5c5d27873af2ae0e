#pragma once

#include "judge/situation.hpp"

#include <vmplug/finding.hpp>
#include <vmplug/plan.hpp>

namespace vmplug {

/// What a device is wanted for.
struct device_question {
    std::string host_driver = "vfio-pci"; ///< or "pci-stub"
    bool for_guest = true;                ///< false: the host's half alone
    binding_way binding = binding_way::automatic;
    bool with_group = false; ///< the neighbours in the way are taken too
};

/// What was found, and what would be bound.
struct device_judgement {
    std::vector<finding> findings;
    std::vector<const pci_function*>
        to_bind; ///< the device first, then the neighbours that go along
};

/// Judges whether a function may leave the host for this: the function itself, its group, who owns
/// it, who uses it, what depends on it. Pure.
///
/// Shape: everything that was looked at has a finding, in the order in which a person would ask.
/// What `abilities` tells is judged where it was read for the function.
device_judgement judge_device(const device_question& asked, const situation& seen,
                              const pci_function& function);

/// Whether a function is bound by way of new_id.
bool uses_new_id(const pci_function& function, binding_way way);

} // namespace vmplug
