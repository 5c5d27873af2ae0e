#pragma once

#include "port/netdev_state.hpp"

#include <vmplug/pci_address.hpp>
#include <vmplug/plan.hpp>

namespace vmplug {

/// How a function is bound, and all that is needed to bring it back to that.
struct binding_state {
    std::string driver;          ///< empty: none
    std::string driver_override; ///< empty: any driver may have it
    std::string module;          ///< of the driver; empty: not known, or built in
    /// Whose: "8086:10d3 8086:0000". Another card in that place is left alone; empty: not known.
    std::string ids;
    /// The network interfaces that the driver made. A record of an earlier vmplug has one name
    /// alone.
    std::vector<netdev_state> netdevs;

    fields format() const;
    static result<binding_state> parse(const fields& values);

    /// The same driver and the same override.
    bool is_bound_like(const binding_state& other) const {
        return driver == other.driver && driver_override == other.driver_override;
    }
};

/// Moves one PCI function to a driver, with the driver_override that keeps it there.
struct set_binding_arguments {
    static constexpr const char* kind = step_kind::set_binding;

    host_address device;
    binding_state target;
    std::string new_id;   ///< "8086 10d3": the driver is told these ids, instead of an override
    bool is_home = false; ///< the device comes back: one that has left leaves nothing to do

    step to_step() const;
    static result<set_binding_arguments> parse(const fields& values);
};

} // namespace vmplug
