#pragma once

#include <vmplug/controller.hpp>

#include <nlohmann/json.hpp>

#include <functional>
#include <stop_token>
#include <string>

namespace vmplug {

/// What a handler works with.
struct command_context {
    controller& control;

    /// Takes what comes bit by bit (events).
    std::function<void(const nlohmann::json&)> emit;
    std::stop_token stop;
    std::function<void(const std::string& text)> progress; ///< of operations
};

} // namespace vmplug
