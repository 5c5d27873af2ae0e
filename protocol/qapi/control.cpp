#include "qapi/control.hpp"

#include "qapi/read_json.hpp"
#include "qapi/refusal.hpp"
#include "qapi/write_json.hpp"

namespace vmplug::qapi {

using nlohmann::json;

std::string human_monitor_command::encode() const {
    return object_text().add("command-line", command_line).text();
}

result<human_monitor_command::reply> human_monitor_command::parse(const json& answer) {
    if (!answer.is_string()) return malformed(name);
    return answer.get<std::string>();
}

result<query_commands::reply> query_commands::parse(const json& answer) {
    if (!answer.is_array()) return malformed(name);
    if (answer.size() > entries_max) return too_long(name);
    reply names;
    for (const auto& each : answer)
        if (auto found = text_at(each, "name")) names.push_back(std::move(*found));
    return names;
}

} // namespace vmplug::qapi
