#pragma once

#include "support/golden.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace vmplug::testing {

/// What QEMU's own schema allows: of commands and events that vmplug uses, as recorded.
///
/// Each question is answered by where a value offends it, or by nothing.
/// Source: docs/devel/qapi-code-gen.rst of QEMU, "Client JSON Protocol introspection".
class qapi_schema {
public:
    using json = nlohmann::json;

    explicit qapi_schema(const std::string& version) {
        for (auto& each : read_golden(version, "schema"))
            entities_[each.at("name")] = each;
    }

    std::string offence_of_arguments(const std::string& command, const json& arguments) const {
        const auto* found = find(command, "command");
        if (!found) return "there is no command " + command;
        auto known = arguments.is_null() ? json::object() : arguments;
        // Its further arguments are the device's own properties, and in no schema.
        if (command == "device_add")
            for (const auto& [name, value] : arguments.items())
                if (name != "driver" && name != "bus" && name != "id") known.erase(name);
        return offence(found->at("arg-type"), known, command);
    }

    std::string offence_of_answer(const std::string& command, const json& answer) const {
        const auto* found = find(command, "command");
        if (!found) return "there is no command " + command;
        return offence(found->at("ret-type"), answer, command);
    }

    std::string offence_of_event(const std::string& name, const json& data) const {
        const auto* found = find(name, "event");
        if (!found) return "there is no event " + name;
        return offence(found->at("arg-type"), data.is_null() ? json::object() : data, name);
    }

private:
    const json* find(const std::string& name, const char* meta_type) const {
        const auto found = entities_.find(name);
        if (found == entities_.end() || found->second.at("meta-type") != meta_type) return nullptr;
        return &found->second;
    }

    std::string offence(const std::string& type, const json& value, const std::string& way) const {
        const auto& entity = entities_.at(type);
        const std::string meta = entity.at("meta-type");
        if (meta == "builtin") return offence_of_builtin(entity.at("json-type"), value, way);
        if (meta == "enum") return offence_of_enum(entity, value, way);
        if (meta == "array") return offence_of_array(entity, value, way);
        if (meta == "alternate") return offence_of_alternate(entity, value, way);
        return offence_of_object(entity, value, way);
    }

    static std::string offence_of_builtin(const std::string& type, const json& value,
                                          const std::string& way) {
        const bool allowed = type == "value" || (type == "string" && value.is_string()) ||
                             (type == "int" && value.is_number_integer()) ||
                             (type == "number" && value.is_number()) ||
                             (type == "boolean" && value.is_boolean()) ||
                             (type == "null" && value.is_null());
        return allowed ? "" : way + " is no " + type;
    }

    static std::string offence_of_enum(const json& entity, const json& value,
                                       const std::string& way) {
        const auto& values = entity.at("values");
        return std::find(values.begin(), values.end(), value) != values.end()
                   ? ""
                   : way + " is none of its values: " + value.dump();
    }

    std::string offence_of_array(const json& entity, const json& value,
                                 const std::string& way) const {
        if (!value.is_array()) return way + " is no array";
        for (std::size_t i = 0; i < value.size(); ++i)
            if (auto found = offence(entity.at("element-type"), value[i],
                                     way + "[" + std::to_string(i) + "]");
                !found.empty())
                return found;
        return {};
    }

    std::string offence_of_alternate(const json& entity, const json& value,
                                     const std::string& way) const {
        for (const auto& each : entity.at("members"))
            if (offence(each.at("type"), value, way).empty()) return {};
        return way + " is none of its alternatives";
    }

    std::string offence_of_object(const json& entity, const json& value,
                                  const std::string& way) const {
        if (!value.is_object()) return way + " is no object";
        std::vector<json> members = entity.at("members");
        if (entity.contains("tag"))
            for (const auto& each : entity.at("variants"))
                if (each.at("case") == value.value(entity.at("tag").get<std::string>(), json()))
                    for (const auto& member : entities_.at(each.at("type")).at("members"))
                        members.push_back(member);
        for (const auto& each : members)
            if (auto found = offence_of_member(each, value, way); !found.empty()) return found;
        for (const auto& [name, ignored] : value.items())
            if (std::ranges::none_of(
                    members, [&name = name](const json& each) { return each.at("name") == name; }))
                return way + " has no member " + name;
        return {};
    }

    std::string offence_of_member(const json& member, const json& object,
                                  const std::string& way) const {
        const std::string name = member.at("name");
        if (object.contains(name))
            return offence(member.at("type"), object[name], way + "." + name);
        return member.contains("default") ? "" : way + " lacks " + name;
    }

    std::map<std::string, json> entities_;
};

} // namespace vmplug::testing
