#pragma once

#include "qapi/request.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmplug::qapi {

/// The guest's name, nothing when it was started without one. Source: qapi/machine.json (until 9.0
/// qapi/misc.json), since 0.14.
struct query_name {
    static constexpr std::string_view name = "query-name";
    using reply = std::optional<std::string>;

    std::string encode() const { return {}; }
    static result<reply> parse(const nlohmann::json& answer);
};

/// Source: StatusInfo in qapi/run-state.json, since 0.14.
struct run_status {
    std::string status; ///< RunState: "running", "paused", "prelaunch" ...; empty before 1.0
    bool running = false;

    bool operator==(const run_status&) const = default;
};

/// Source: qapi/run-state.json, since 0.14.
struct query_status {
    static constexpr std::string_view name = "query-status";
    using reply = run_status;

    std::string encode() const { return {}; }
    static result<reply> parse(const nlohmann::json& answer);
};

/// How far the migration is, nothing when there was none: "active", "completed" ...
///
/// Source: MigrationStatus in qapi/migration.json, since 0.14.
struct query_migrate {
    static constexpr std::string_view name = "query-migrate";
    using reply = std::optional<std::string>;

    std::string encode() const { return {}; }
    static result<reply> parse(const nlohmann::json& answer);
};

/// Source: MemoryInfo in qapi/machine.json, since 2.11.
struct memory_size {
    std::uint64_t base_bytes = 0;
    std::uint64_t plugged_bytes = 0; ///< 0 also where memory cannot be hot-added

    bool operator==(const memory_size&) const = default;
};

/// Source: qapi/machine.json, since 2.11.
struct query_memory_size_summary {
    static constexpr std::string_view name = "query-memory-size-summary";
    using reply = memory_size;

    std::string encode() const { return {}; }
    static result<reply> parse(const nlohmann::json& answer);
};

} // namespace vmplug::qapi
