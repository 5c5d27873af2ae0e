#pragma once

#include "command/typing/qmp_schema.hpp"
#include "qapi/qom.hpp"

#include <vmplug/guest_facts.hpp>
#include <vmplug/monitor.hpp>

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string>
#include <vector>

namespace vmplug {

/// Where types come from; each is asked when it is first needed.
struct type_source {
    /// QEMU's schema, empty where it has none. Errors: why it cannot be asked.
    std::function<boost::asio::awaitable<result<const qmp_schema*>>()> schema;
    /// A device model's properties; nullptr when QEMU does not tell.
    std::function<boost::asio::awaitable<const device_model*>(std::string type)> model;
    /// Look up also what could be nothing but a string: the schema may know better.
    bool thorough = false;
};

/// The arguments that words like `driver=e1000e addr=0x3` mean, each with the type that QEMU says
/// it has: of a device_add those of its device model, else those of the command. An id is a string.
///
/// Shape: without `thorough` nothing is asked for words that can only be strings.
/// Errors: `invalid_argument` for a word of another form, `property_unknown` for a value that is
/// none of its type, and those of `schema`.
boost::asio::awaitable<result<nlohmann::json>>
type_arguments(type_source source, std::string command, std::vector<std::string> words);

/// Device models and the schema of one connection, for a single command.
type_source ask_types(monitor& connection, std::chrono::milliseconds deadline);

/// A model as device-list-properties tells of it.
device_model make_device_model(std::string type, std::vector<qapi::object_property> properties);

/// A schema from the answer to query-qmp-schema: an empty one from a QEMU that has no such command.
/// Errors: why it cannot be told.
result<qmp_schema> make_schema(result<std::vector<qapi::schema_entity>> answer);

} // namespace vmplug
