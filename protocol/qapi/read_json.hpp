#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmplug::qapi {

/// Members of what a peer sent: nothing when `object` is none, lacks the member, or has one of
/// another type. Never throws.
const nlohmann::json* member(const nlohmann::json& object, std::string_view key);
std::optional<std::string> text_at(const nlohmann::json& object, std::string_view key);
std::optional<bool> bool_at(const nlohmann::json& object, std::string_view key);
/// One that does not fit is none.
std::optional<std::int64_t> integer_at(const nlohmann::json& object, std::string_view key);
/// An array; an empty one when there is none.
const nlohmann::json& array_at(const nlohmann::json& object, std::string_view key);

/// An integer that fits.
std::optional<std::int64_t> integer_of(const nlohmann::json& value);

} // namespace vmplug::qapi
