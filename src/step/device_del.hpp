#pragma once

#include <vmplug/plan.hpp>

namespace vmplug {

/// Takes a device from the guest: asks, and waits until it is gone.
struct device_del_arguments {
    static constexpr const char* kind = step_kind::device_del;

    std::string id;
    std::chrono::milliseconds wait{};

    step to_step() const { return {kind, {{"id", id}, {"wait_ms", std::to_string(wait.count())}}}; }
    static result<device_del_arguments> parse(const fields& values);
};

} // namespace vmplug
