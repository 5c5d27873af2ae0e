#pragma once

#include <vmplug/controller.hpp>

#include <nlohmann/json.hpp>

#include <functional>

namespace vmplug {

/// What a handler works with.
struct command_context {
    controller& control;

    /// Takes what comes bit by bit (events).
    std::function<void(const nlohmann::json&)> emit;
    std::function<bool()> stop_requested;
};

} // namespace vmplug
