#pragma once

#include "qapi/request.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace vmplug::qapi {

/// What an object or a device model has.
///
/// Shape: `type` is QEMU's word: "child<e1000e>" for an object below, "link<bus>", "str", "uint32".
/// Source: ObjectPropertyInfo in qapi/qom.json, since 1.2; `default-value` since 5.0.
struct object_property {
    std::string name;
    std::string type;
    std::string default_value = {}; ///< JSON text; empty: none, or not told

    /// The type in "child<TYPE>", empty for anything else.
    std::string_view child_type() const;

    bool operator==(const object_property&) const = default;
};

/// Reads a list of them, as qom-list and device-list-properties answer. Errors: as of a command.
result<std::vector<object_property>> parse_properties(std::string_view command,
                                                      const nlohmann::json& answer);

/// The properties of an object, and what is below it. Source: qapi/qom.json, since 1.2.
struct qom_list {
    static constexpr std::string_view name = "qom-list";
    using reply = std::vector<object_property>;

    std::string path;

    std::string encode() const;
    static result<reply> parse(const nlohmann::json& answer);
};

/// A property's value, as far as vmplug reads any; nothing for one of another type. A link is the
/// path that it points at, empty for none.
using qom_value = std::variant<std::monostate, bool, std::int64_t, std::string>;

/// The value of a property. Source: qapi/qom.json, since 1.2.
struct qom_get {
    static constexpr std::string_view name = "qom-get";
    using reply = qom_value;

    std::string path;
    std::string property;

    std::string encode() const;
    static result<reply> parse(const nlohmann::json& answer);
};

} // namespace vmplug::qapi
