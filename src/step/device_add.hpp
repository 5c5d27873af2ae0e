#pragma once

#include <vmplug/plan.hpp>

namespace vmplug {

/// Adds the assigned device to the guest.
struct device_add_arguments {
    static constexpr const char* kind = step_kind::device_add;

    std::string id;
    std::string json; ///< the object that QEMU is given, with that id

    step to_step() const { return {kind, {{"id", id}, {"arguments", json}}}; }
    static result<device_add_arguments> parse(const fields& values);
};

} // namespace vmplug
