#pragma once

#include <vmplug/error.hpp>

#include <nlohmann/json.hpp>

namespace vmplug {

/// The answer: one object, always with `outcome`; on failure with `error`.
struct command_result {
    nlohmann::json value;
    int exit_code = 0;
    bool streamed = false; ///< everything went through `emit`: nothing is left to print
};

/// A failure of something that changes nothing: `refused`, or `unknown` when a command was sent and
/// not answered.
command_result failed(const error& failure);

/// A usage error (exit 2): an argument has no such form.
command_result misused(const error& failure);

/// `value` with `outcome: done`.
command_result succeeded(nlohmann::json value);

} // namespace vmplug
