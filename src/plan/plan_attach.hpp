#pragma once

#include <vmplug/guest_facts.hpp>
#include <vmplug/host_facts.hpp>
#include <vmplug/plan.hpp>

#include <vector>

namespace vmplug {

/// Everything that planning looks at, read before anything is decided.
struct situation {
    host_facts host;
    guest_facts guest;
    std::optional<qemu_process> qemu;       ///< nothing: the monitor's process is not known
    std::string monitor;                    ///< its address
    std::vector<operation_record> assigned; ///< attaches whose device is still away
    std::vector<operation_record> open;     ///< operations that are not settled
};

/// An operation that is not settled and concerns the device or a neighbour in its IOMMU group;
/// nullptr when there is none.
const operation_record* find_unsettled(const situation& seen, const std::string& device);

/// Decides how the device gets to the guest, or why it does not: every reason at once, the guest's
/// before the host's. Pure: nothing is read and nothing is touched.
plan plan_attach(const attach_request& request, const situation& seen);

/// Decides how the device gets to its assignment driver, for a QEMU that somebody else starts. Only
/// the host's half of `seen` is looked at.
plan plan_bind(const bind_request& request, const situation& seen);

/// The id that an attach without --id gets.
std::string default_id(const host_address& device);

} // namespace vmplug
