#include "command/text/json_member.hpp"

#include "command/text/printable_json.hpp"

namespace vmplug {

using nlohmann::json;

std::string text_at(const json& value, const char* key) {
    const auto found = value.is_object() ? value.find(key) : value.end();
    if (found == value.end() || found->is_null()) return {};
    return found->is_string() ? found->get<std::string>() : printable_json(*found);
}

std::string join(const json& array, const char* between) {
    std::string text;
    for (const auto& each : array)
        text += (text.empty() ? "" : between) +
                (each.is_string() ? each.get<std::string>() : printable_json(each));
    return text;
}

} // namespace vmplug
