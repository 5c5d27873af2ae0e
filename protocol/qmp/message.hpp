#pragma once

#include <vmplug/error.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace vmplug::qmp {

/// The first message of a monitor.
struct greeting {
    std::string version; ///< "7.2.22"
    bool oob = false;    ///< out-of-band execution is on offer (QEMU 2.12)
};

/// The answer to a command. `id` is null when the command had none, or when QEMU could not parse
/// what it was sent.
struct reply {
    nlohmann::json id;
    bool failed = false;
    nlohmann::json value;    ///< what `return` held
    std::string error_class; ///< verbatim, when failed
    std::string desc;        ///< verbatim, when failed
};

/// Something happened. Times are the host's clock, in microseconds since 1970.
struct event {
    std::string name;
    nlohmann::json data;
    std::int64_t timestamp_us = 0;
};

using message = std::variant<greeting, reply, event>;

/// Errors: `protocol_violation` for what is no JSON, or no message that QMP knows.
result<message> parse_message(std::string_view text);

/// Writes a command: compact and without a newline, because QEMU reads one byte for each turn of
/// its main loop and needs neither. `arguments` is a JSON object's text or empty.
std::string format_command(std::string_view command, std::string_view arguments,
                           std::string_view id, bool out_of_band);

/// JSON text with what is not UTF-8 replaced.
std::string format_json(const nlohmann::json& value, int indent = -1);

} // namespace vmplug::qmp
