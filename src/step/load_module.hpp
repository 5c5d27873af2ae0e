#pragma once

#include <vmplug/plan.hpp>

namespace vmplug {

/// Loads the module of an assignment driver.
struct load_module_arguments {
    static constexpr const char* kind = step_kind::load_module;

    std::string module;
    std::string driver; ///< that it brings

    step to_step() const { return {kind, {{"module", module}, {"driver", driver}}}; }
    static result<load_module_arguments> parse(const fields& values);
};

} // namespace vmplug
