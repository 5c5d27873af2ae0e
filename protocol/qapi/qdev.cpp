#include "qapi/qdev.hpp"

#include "qapi/write_json.hpp"

#include <nlohmann/json.hpp>

namespace vmplug::qapi {

using nlohmann::json;

std::string device_add::encode() const {
    object_text text;
    text.add("driver", driver);
    if (host) text.add("host", *host);
    if (!id.empty()) text.add("id", id);
    if (bus) text.add("bus", *bus);
    for (const auto& [property, value] : properties)
        text.add_json(property, value);
    return text.text();
}

result<device_add::reply> device_add::parse(const json&) {
    return nothing{};
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
