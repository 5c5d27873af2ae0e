#pragma once

#include <vmplug/plan.hpp>

namespace vmplug {

/// Watches a device that was just added: the guest configures it, or rejects it.
struct confirm_guest_arguments {
    static constexpr const char* kind = step_kind::confirm_guest;

    std::string id;
    std::chrono::milliseconds wait{};

    step to_step() const { return {kind, {{"id", id}, {"wait_ms", std::to_string(wait.count())}}}; }
    static result<confirm_guest_arguments> parse(const fields& values);
};

} // namespace vmplug
