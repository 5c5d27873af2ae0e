#include "qapi/qdev.hpp"

#include "qapi/read_json.hpp"
#include "qapi/refusal.hpp"
#include "qapi/write_json.hpp"
#include "qmp/message.hpp"

namespace vmplug::qapi {

using nlohmann::json;

std::string device_add::encode() const {
    object_text text;
    text.add("driver", driver);
    if (!id.empty()) text.add("id", id);
    if (bus) text.add("bus", *bus);
    for (const auto& [property, value] : properties)
        text.add_json(property, value);
    return text.text();
}

result<device_add::reply> device_add::parse(const json&) {
    return nothing{};
}

result<device_add> device_add::decode(std::string_view arguments) {
    const auto object = nlohmann::ordered_json::parse(arguments, nullptr, false);
    device_add read;
    if (!object.is_object()) return malformed(name);
    for (const auto& [key, value] : object.items()) {
        const auto* text = value.get_ptr<const std::string*>();
        const bool own = key == "driver" || key == "id" || key == "bus";
        if (own && !text) return malformed(name);
        if (key == "driver") read.driver = *text;
        if (key == "id") read.id = *text;
        if (key == "bus") read.bus = *text;
        if (!own) read.properties.emplace_back(key, qmp::format_json(json(value)));
    }
    if (read.driver.empty()) return malformed(name);
    return read;
}

std::string device_del::encode() const {
    return object_text().add("id", id).text();
}

result<device_del::reply> device_del::parse(const json&) {
    return nothing{};
}

std::string device_list_properties::encode() const {
    return object_text().add("typename", type).text();
}

result<device_list_properties::reply> device_list_properties::parse(const json& answer) {
    return parse_properties(name, answer);
}

} // namespace vmplug::qapi
