#include "command/typing/qmp_schema.hpp"

#include "command/typing/qmp_arguments.hpp"

#include <algorithm>
#include <array>

namespace vmplug {
namespace {

using nlohmann::json;

constexpr int array_depth_max = 8;

error no_value(const std::string& key, const std::string& text, const std::string& type) {
    return {error_code::property_unknown,
            key,
            "\"" + text.substr(0, 60) + "\" is no value of type " + type,
            {}};
}

result<json> make(json value) {
    return {boost::system::in_place_value, std::move(value)};
}

result<json> type_builtin(const std::string& key, const std::string& text,
                          const std::string& type) {
    if (type == "string") return make(text);
    if (type == "boolean") {
        for (const auto* yes : {"true", "on", "yes"})
            if (text == yes) return make(true);
        for (const auto* no : {"false", "off", "no"})
            if (text == no) return make(false);
        return no_value(key, text, "bool");
    }
    auto value = json::parse(text, nullptr, false);
    if (type == "int" && !value.is_number_integer()) return no_value(key, text, type);
    if (type == "number" && !value.is_number()) return no_value(key, text, type);
    if (value.is_discarded()) value = text;
    return make(std::move(value));
}

} // namespace

qmp_schema::qmp_schema(std::vector<qapi::schema_entity> entities) {
    for (auto& each : entities) {
        auto name = each.name;
        entities_.emplace(std::move(name), std::move(each));
    }
}

const qapi::schema_entity* qmp_schema::find(const std::string& name) const {
    const auto found = entities_.find(name);
    return found == entities_.end() ? nullptr : &found->second;
}

bool qmp_schema::has_command(const std::string& name) const {
    const auto* found = find(name);
    return found && found->kind == "command";
}

std::vector<std::string> qmp_schema::commands() const {
    std::vector<std::string> names;
    for (const auto& [name, each] : entities_)
        if (each.kind == "command") names.push_back(name);
    return names;
}

const qapi::schema_entity* qmp_schema::argument_type(const std::string& command) const {
    const auto* found = find(command);
    return found ? find(found->argument_type) : nullptr;
}

const qapi::schema_entity* qmp_schema::member_type(const entity& object,
                                                   const std::string& name) const {
    const auto found = std::ranges::find(object.members, name, &entity::member::name);
    return found == object.members.end() ? nullptr : find(found->type);
}

std::vector<std::string> qmp_schema::enum_values(const std::string& name) const {
    const auto* found = find(name);
    return found ? found->values : std::vector<std::string>();
}

std::string qmp_schema::type_name(const std::string& name, int depth) const {
    const auto* found = find(name);
    if (!found || depth > array_depth_max) return "any";
    if (found->kind == "builtin") return name;
    if (found->kind == "array") return "[" + type_name(found->element_type, depth + 1) + "]";
    return found->kind;
}

void qmp_schema::add_members(const entity& object, std::vector<member>& into) const {
    for (const auto& each : object.members)
        into.push_back({each.name, type_name(each.type), each.optional, enum_values(each.type)});
}

const qapi::schema_entity* qmp_schema::branch(const entity& object,
                                              const std::string& chosen) const {
    const auto found = std::ranges::find(object.variants, chosen, &entity::variant::tag_value);
    return found == object.variants.end() ? nullptr : find(found->type);
}

std::vector<qmp_schema::member> qmp_schema::members(const std::string& command,
                                                    const std::string& below,
                                                    const given_arguments& given) const {
    const auto* object = argument_type(command);
    const entity* chosen = nullptr;
    for (std::size_t begin = 0; object;) {
        // A union: which branch it is, another argument says ("type" of netdev_add).
        const auto prefix = begin == 0 ? std::string() : below.substr(0, begin - 1) + ".";
        const auto tag = given.find(prefix + object->tag);
        chosen = tag == given.end() ? nullptr : branch(*object, tag->second);
        if (begin >= below.size()) break;
        const auto end = std::min(below.find('.', begin), below.size());
        const auto name = below.substr(begin, end - begin);
        const auto* inner = member_type(*object, name);
        object = inner || !chosen ? inner : member_type(*chosen, name);
        begin = end + 1;
    }
    std::vector<member> found;
    if (!object) return found;
    add_members(*object, found);
    if (chosen) add_members(*chosen, found);
    return found;
}

result<json> qmp_schema::type_value(const std::string& command, const std::string& key,
                                    const std::string& text, const given_arguments& given) const {
    if (nests_too_deep(text)) return too_deep(text);
    const auto dot = key.rfind('.');
    const auto below = dot == key.npos ? std::string() : key.substr(0, dot);
    const auto name = dot == key.npos ? key : key.substr(dot + 1);
    const auto all = members(command, below, given);
    const auto found = std::ranges::find(all, name, &member::name);
    // What the schema does not show (before QEMU 2.5 there is none) QEMU judges itself.
    if (found == all.end()) return key == "id" ? make(text) : type_builtin(key, text, "any");
    if (!found->values.empty()) {
        if (std::ranges::find(found->values, text) != found->values.end()) return make(text);
        std::string known;
        for (const auto& each : found->values)
            known += (known.empty() ? "" : ", ") + each;
        return error{error_code::property_unknown, key, "it is one of: " + known, {}};
    }
    const auto* builtin = find(found->type);
    return type_builtin(key, text, builtin ? builtin->json_type : "any");
}

std::string qmp_schema::describe(const std::string& command) const {
    if (!has_command(command)) return {};
    std::string text = command + "\n";
    for (const auto& each : members(command)) {
        text += "  " + each.name + "=" + each.type + (each.optional ? "  (optional)" : "");
        for (std::size_t i = 0; i < each.values.size(); ++i)
            text += (i == 0 ? "  " : "|") + each.values[i];
        text += "\n";
    }
    return text;
}

} // namespace vmplug
