#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace vmplug {

/// The text of a member, empty when it is missing.
std::string text_at(const nlohmann::json& value, const char* key);

/// The elements of an array as one line.
std::string join(const nlohmann::json& array, const char* between);

} // namespace vmplug
