#pragma once

#include "guest/device_tree.hpp"
#include "guest/pci_buses.hpp"

#include <vmplug/guest_facts.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// The lines that an `hmp_survey` wants answered, in this order.
std::span<const char* const> hmp_survey_lines();

/// Collects `guest_facts` from the output of a human monitor, without I/O: for QEMUs whose QMP
/// cannot tell, and for monitors that have nothing else.
///
/// What QEMU does not know is missing in the facts; `ram_bytes` is 0 before QEMU 2.11. The devices
/// are those that a user added (with an id), and those on a port without one.
class hmp_survey {
public:
    explicit hmp_survey(std::string version) { facts_.version = std::move(version); }

    /// `output` is that of the line of the same number. What QEMU refused is not told.
    void answer(std::size_t number, std::string_view output);

    /// What is to be asked after those: who handles a hot-add of each bus, and what ACPI's
    /// controller serves. QEMUs before 5.2 have no such line: after a first one that failed the
    /// rest need not be asked.
    std::vector<std::string> bus_lines() const;

    /// `output` of the bus line of that number. What QEMU refused is not told.
    void answer_bus(std::size_t number, std::string_view output);

    /// Why the facts are not to be believed. Errors: `limit_exceeded`.
    const std::optional<error>& failure() const { return failure_; }

    guest_facts facts() const;

private:
    void take_tree(const device_tree& tree);
    void add_bridge(const tree_device& bridge, const std::string& upstream);
    void take_told(guest_facts& facts) const;

    guest_facts facts_;
    std::optional<error> failure_;
    std::vector<pci_bus> buses_; ///< those whose QOM path follows from their names
    std::vector<bus_occupant> occupants_;
};

} // namespace vmplug
