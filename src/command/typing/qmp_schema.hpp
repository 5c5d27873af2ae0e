#pragma once

#include "qapi/introspect.hpp"

#include <vmplug/error.hpp>

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// What QEMU says of its own commands: names, arguments, types. Untrusted: what is not there counts
/// as missing, and recursion is bounded.
///
/// Source: docs/devel/qapi-code-gen.rst of QEMU, "Client JSON Protocol introspection".
class qmp_schema {
public:
    struct member {
        std::string name;
        std::string type; ///< for a person: "str", "int", "bool", "enum", "object", ["str"] ...
        bool optional = false;
        std::vector<std::string> values; ///< of an enumeration
    };

    /// What else was written, by its dotted key: which branch of a union is meant.
    using given_arguments = std::map<std::string, std::string>;

    qmp_schema() = default;
    explicit qmp_schema(std::vector<qapi::schema_entity> entities);

    bool empty() const { return entities_.empty(); }
    bool has_command(const std::string& name) const;
    std::vector<std::string> commands() const;

    /// The arguments of a command; below a dotted key those of a nested object ("server").
    std::vector<member> members(const std::string& command, const std::string& below = {},
                                const given_arguments& given = {}) const;

    /// Gives an argument's text the type that the command wants.
    /// Errors: `property_unknown` for a name that it does not have or a text that is no such value.
    result<nlohmann::json> type_value(const std::string& command, const std::string& key,
                                      const std::string& text,
                                      const given_arguments& given = {}) const;

    /// Help: the command's line with its arguments, one per line. Empty for an unknown one.
    std::string describe(const std::string& command) const;

private:
    using entity = qapi::schema_entity;

    const entity* find(const std::string& name) const;
    const entity* argument_type(const std::string& command) const;
    const entity* member_type(const entity& object, const std::string& name) const;
    std::string type_name(const std::string& name, int depth = 0) const;
    std::vector<std::string> enum_values(const std::string& name) const;
    void add_members(const entity& object, std::vector<member>& into) const;
    const entity* branch(const entity& object, const std::string& chosen) const;

    std::map<std::string, entity> entities_;
};

} // namespace vmplug
