#pragma once

#include <vmplug/error.hpp>

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// What QEMU says of its own commands (query-qmp-schema): names, arguments, types. Untrusted: what
/// has not the documented form counts as missing, and recursion is bounded.
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
    explicit qmp_schema(const nlohmann::json& reply);

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
    const nlohmann::json* find(const std::string& name) const;
    const nlohmann::json* argument_type(const std::string& command) const;
    const nlohmann::json* member_type(const nlohmann::json& object, const std::string& name) const;
    std::string type_name(const std::string& name, int depth = 0) const;
    std::vector<std::string> enum_values(const std::string& name) const;
    void add_members(const nlohmann::json& object, std::vector<member>& into) const;
    const nlohmann::json* branch(const nlohmann::json& object, const std::string& chosen) const;

    std::map<std::string, nlohmann::json> entities_;
};

} // namespace vmplug
