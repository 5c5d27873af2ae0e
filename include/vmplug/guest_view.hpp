#pragma once

#include <vmplug/guest_facts.hpp>
#include <vmplug/host_facts.hpp>

#include <optional>
#include <string>

namespace vmplug {

/// A guest as it was just seen.
struct guest_view {
    std::optional<qemu_process> process;
    std::string monitor; ///< the address that answered
    guest_facts facts;
};

} // namespace vmplug
