#pragma once

#include "qapi/request.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vmplug::qapi {

/// What QEMU says of one of its commands, events or types.
///
/// Shape: `kind` is QEMU's word: "command", "event", "object", "alternate", "enum", "array",
/// "builtin". Types are named by numbers that mean something within one answer alone; what a kind
/// does not have is empty. Source: SchemaInfo in qapi/introspect.json, since 2.5.
struct schema_entity {
    struct member {
        std::string name; ///< empty in an alternate
        std::string type;
        bool optional = false;

        bool operator==(const member&) const = default;
    };
    /// Which further members an object has where its tag has that value.
    struct variant {
        std::string tag_value;
        std::string type;

        bool operator==(const variant&) const = default;
    };

    std::string name;
    std::string kind;
    std::string argument_type = {}; ///< of a command, and of an event
    std::string element_type = {};  ///< of an array
    std::string json_type = {};     ///< of a builtin: "string", "int", "number", "boolean" ...
    std::string tag = {};           ///< of an object that is a union: one of its members
    std::vector<member> members = {};
    std::vector<variant> variants = {};
    std::vector<std::string> values = {}; ///< of an enumeration

    bool operator==(const schema_entity&) const = default;
};

/// All that QEMU's monitor takes and tells. `entries_max` is for its entities with all that they
/// hold: QEMU 7.2 has 1,051, and 5,211 with that.
///
/// Source: qapi/introspect.json, since 2.5; before that QEMU has no such command.
struct query_qmp_schema {
    static constexpr std::string_view name = "query-qmp-schema";
    using reply = std::vector<schema_entity>;

    std::string encode() const { return {}; }
    static result<reply> parse(const nlohmann::json& answer);
};

} // namespace vmplug::qapi
