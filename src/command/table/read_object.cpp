#include "command/table/read_object.hpp"

#include <nlohmann/json.hpp>

#include <optional>

namespace vmplug {
namespace {

using nlohmann::json;

constexpr std::size_t shown_max = 100;

error misused_field(const std::string& field, std::string text, std::string remedy = {}) {
    return {error_code::invalid_argument, field.substr(0, shown_max), std::move(text),
            std::move(remedy)};
}

/// The name and kind of a field in the table.
struct table_entry {
    std::string name;
    value_kind kind;
};

std::optional<table_entry> find_entry(const verb& row, const std::string& field) {
    for (const auto& each : row.arguments)
        if (field_name(each) == field) return table_entry{each.name, each.kind};
    for (const auto& each : row.options)
        if (field_name(each) == field) return table_entry{long_name(each), each.kind};
    return std::nullopt;
}

std::vector<std::string> field_names(const verb& row) {
    std::vector<std::string> names;
    for (const auto& each : row.arguments)
        names.push_back(field_name(each));
    for (const auto& each : row.options)
        names.push_back(field_name(each));
    return names;
}

/// A value as it would be written in a line.
std::optional<std::string> text_of(const json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number_integer()) return value.dump();
    return std::nullopt;
}

/// Every value that a field holds, nothing when one has no such form.
std::optional<std::vector<std::string>> texts_of(const json& value, value_kind kind) {
    std::vector<std::string> texts;
    const bool properties = value.is_object() && kind == value_kind::property;
    if (!value.is_array() && !properties) {
        auto text = text_of(value);
        if (!text) return std::nullopt;
        texts.push_back(std::move(*text));
        return texts;
    }
    for (const auto& [key, each] : value.items()) {
        const auto text = text_of(each);
        if (!text) return std::nullopt;
        texts.push_back(properties ? key + "=" + *text : *text);
    }
    return texts;
}

std::optional<error> take_field(const std::string& field, const table_entry& entry,
                                const json& value, written_values& into) {
    if (entry.kind == value_kind::none) {
        if (!value.is_boolean()) return misused_field(field, "it is no boolean");
        if (value.get<bool>()) into.by_name[entry.name];
        return std::nullopt;
    }
    auto texts = texts_of(value, entry.kind);
    if (!texts) return misused_field(field, "it is neither a text nor a whole number");
    if (!texts->empty()) into.by_name[entry.name] = std::move(*texts);
    return std::nullopt;
}

} // namespace

result<invocation> read_object(const verb& row, const json& object) {
    if (!object.is_object()) return misused_field(row.name, "this is no JSON object");
    written_values written;
    for (const auto& [field, value] : object.items()) {
        const auto entry = find_entry(row, field);
        if (!entry)
            return misused_field(field,
                                 "there is no such field" + did_you_mean(field, field_names(row)));
        if (value.is_null()) continue;
        if (auto fault = take_field(field, *entry, value, written)) return std::move(*fault);
    }
    return parse_values(row, written, spelling::of_object);
}

} // namespace vmplug
