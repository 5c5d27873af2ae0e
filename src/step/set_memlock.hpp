#pragma once

#include "port/host_control.hpp"

#include <vmplug/plan.hpp>

#include <optional>

namespace vmplug {

/// Raises QEMU's limit for locked memory, since VFIO locks all of the guest's RAM; or puts it back.
struct set_memlock_arguments {
    static constexpr const char* kind = step_kind::set_memlock;

    process_identity process;
    std::uint64_t size_bytes = 0;                 ///< at least that much, unless:
    std::optional<host_control::memlock> exactly; ///< when the device comes back

    step to_step() const;
    static result<set_memlock_arguments> parse(const fields& values);
};

} // namespace vmplug
