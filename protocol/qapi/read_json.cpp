#include "qapi/read_json.hpp"

#include <limits>

namespace vmplug::qapi {

using nlohmann::json;

const json* member(const json& object, std::string_view key) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(key);
    return found == object.end() ? nullptr : &*found;
}

std::optional<std::string> text_at(const json& object, std::string_view key) {
    const auto* found = member(object, key);
    return found && found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
}

std::optional<bool> bool_at(const json& object, std::string_view key) {
    const auto* found = member(object, key);
    return found && found->is_boolean() ? std::optional(found->get<bool>()) : std::nullopt;
}

std::optional<std::int64_t> integer_of(const json& value) {
    if (!value.is_number_integer()) return std::nullopt;
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > most) return std::nullopt;
    return value.get<std::int64_t>();
}

std::optional<std::int64_t> integer_at(const json& object, std::string_view key) {
    const auto* found = member(object, key);
    return found ? integer_of(*found) : std::nullopt;
}

const json& array_at(const json& object, std::string_view key) {
    static const json empty = json::array();
    const auto* found = member(object, key);
    return found && found->is_array() ? *found : empty;
}

} // namespace vmplug::qapi
