#include "qapi/qom.hpp"

#include "qapi/read_json.hpp"
#include "qapi/refusal.hpp"
#include "qapi/write_json.hpp"
#include "qmp/message.hpp"

namespace vmplug::qapi {

using nlohmann::json;

std::string_view object_property::child_type() const {
    constexpr std::string_view begin = "child<";
    const std::string_view text = type;
    if (!text.starts_with(begin) || !text.ends_with('>')) return {};
    return text.substr(begin.size(), text.size() - begin.size() - 1);
}

result<std::vector<object_property>> parse_properties(std::string_view command,
                                                      const json& answer) {
    if (!answer.is_array()) return malformed(command);
    if (answer.size() > entries_max) return too_long(command);
    std::vector<object_property> found;
    for (const auto& entry : answer) {
        auto name = text_at(entry, "name");
        auto type = text_at(entry, "type");
        if (!name || name->empty() || !type) continue;
        const auto* value = member(entry, "default-value");
        found.push_back(
            {std::move(*name), std::move(*type), value ? qmp::format_json(*value) : std::string()});
    }
    return found;
}

std::string qom_list::encode() const {
    return object_text().add("path", path).text();
}

result<qom_list::reply> qom_list::parse(const json& answer) {
    return parse_properties(name, answer);
}

std::string qom_get::encode() const {
    return object_text().add("path", path).add("property", property).text();
}

result<qom_get::reply> qom_get::parse(const json& answer) {
    if (answer.is_boolean()) return qom_value(answer.get<bool>());
    if (answer.is_string()) return qom_value(answer.get<std::string>());
    if (const auto number = integer_of(answer)) return qom_value(*number);
    return qom_value();
}

} // namespace vmplug::qapi
