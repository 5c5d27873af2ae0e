#include "qmp/message.hpp"

#include <utility>

namespace vmplug::qmp {
namespace {

using nlohmann::json;

error violation(std::string text) {
    return {error_code::protocol_violation, "QMP", std::move(text), {}};
}

std::string text_of(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number_of(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

message parse_greeting(const json& body) {
    greeting parsed;
    const auto pointer = json::json_pointer("/version/qemu");
    if (body.contains(pointer) && body[pointer].is_object()) {
        const auto& qemu = body[pointer];
        for (const char* part : {"major", "minor", "micro"})
            parsed.version +=
                (parsed.version.empty() ? "" : ".") + std::to_string(number_of(qemu, part));
    }
    if (const auto found = body.find("capabilities"); found != body.end() && found->is_array())
        for (const auto& each : *found)
            parsed.oob = parsed.oob || each == json("oob");
    return parsed;
}

message parse_reply(json& object, bool failed) {
    reply parsed;
    parsed.failed = failed;
    if (auto id = object.find("id"); id != object.end()) parsed.id = std::move(*id);
    if (!failed) {
        parsed.value = std::move(object["return"]);
        return parsed;
    }
    const auto& body = object["error"];
    if (body.is_object()) {
        parsed.error_class = text_of(body, "class");
        parsed.desc = text_of(body, "desc");
    }
    return parsed;
}

message parse_event(json& object) {
    event parsed;
    parsed.name = text_of(object, "event");
    if (auto data = object.find("data"); data != object.end()) parsed.data = std::move(*data);
    const auto stamp = object.find("timestamp");
    if (stamp == object.end() || !stamp->is_object()) return parsed;
    // The sum of a hostile peer's numbers must not overflow.
    const auto seconds = number_of(*stamp, "seconds");
    if (seconds >= 0 && seconds < std::int64_t{1} << 40)
        parsed.timestamp_us = seconds * 1'000'000 + number_of(*stamp, "microseconds") % 1'000'000;
    return parsed;
}

} // namespace

result<message> parse_message(std::string_view text) {
    auto object = json::parse(text, nullptr, false);
    if (!object.is_object()) return violation("a message is not valid JSON");
    if (auto body = object.find("QMP"); body != object.end() && body->is_object())
        return parse_greeting(*body);
    if (object.contains("event")) return parse_event(object);
    if (object.contains("return")) return parse_reply(object, false);
    if (object.contains("error")) return parse_reply(object, true);
    return violation("a message is neither greeting, reply nor event");
}

std::string format_json(const json& value, int indent) {
    return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string format_command(std::string_view command, std::string_view arguments,
                           std::string_view id, bool out_of_band) {
    std::string text = out_of_band ? "{\"exec-oob\":" : "{\"execute\":";
    text += format_json(json(command));
    if (!arguments.empty()) text.append(",\"arguments\":").append(arguments);
    text.append(",\"id\":").append(id).append("}");
    return text;
}

} // namespace vmplug::qmp
