#pragma once

#include "qapi/request.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vmplug::qapi {

/// A line for the human monitor, and what it printed. Source: qapi/misc.json, since 0.14.
struct human_monitor_command {
    static constexpr std::string_view name = "human-monitor-command";
    using reply = std::string;

    std::string command_line;

    std::string encode() const;
    static result<reply> parse(const nlohmann::json& answer);
};

/// The names of all commands. Source: qapi/control.json, since 0.13.
struct query_commands {
    static constexpr std::string_view name = "query-commands";
    using reply = std::vector<std::string>;

    std::string encode() const { return {}; }
    static result<reply> parse(const nlohmann::json& answer);
};

} // namespace vmplug::qapi
