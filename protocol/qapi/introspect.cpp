#include "qapi/introspect.hpp"

#include "qapi/read_json.hpp"
#include "qapi/refusal.hpp"

namespace vmplug::qapi {
namespace {

using nlohmann::json;

std::string text_or_none(const json& object, std::string_view key) {
    return text_at(object, key).value_or(std::string());
}

void read_members(const json& entry, schema_entity& into) {
    for (const auto& each : array_at(entry, "members"))
        if (auto type = text_at(each, "type"))
            into.members.push_back(
                {text_or_none(each, "name"), std::move(*type), member(each, "default") != nullptr});
    for (const auto& each : array_at(entry, "variants")) {
        auto tag_value = text_at(each, "case");
        auto type = text_at(each, "type");
        if (tag_value && type) into.variants.push_back({std::move(*tag_value), std::move(*type)});
    }
    for (const auto& each : array_at(entry, "values"))
        if (each.is_string()) into.values.push_back(each.get<std::string>());
}

std::size_t parts_of(const json& entry) {
    return 1 + array_at(entry, "members").size() + array_at(entry, "variants").size() +
           array_at(entry, "values").size();
}

} // namespace

result<query_qmp_schema::reply> query_qmp_schema::parse(const json& answer) {
    if (!answer.is_array()) return malformed(name);
    reply entities;
    std::size_t parts = 0;
    for (const auto& entry : answer) {
        parts += parts_of(entry);
        if (parts > entries_max) return too_long(name);
        auto own = text_at(entry, "name");
        auto kind = text_at(entry, "meta-type");
        if (!own || own->empty() || !kind) continue;
        auto& read = entities.emplace_back(schema_entity{std::move(*own), std::move(*kind)});
        read.argument_type = text_or_none(entry, "arg-type");
        read.element_type = text_or_none(entry, "element-type");
        read.json_type = text_or_none(entry, "json-type");
        read.tag = text_or_none(entry, "tag");
        read_members(entry, read);
    }
    return entities;
}

} // namespace vmplug::qapi
