#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace vmplug {

/// JSON for whoever may be a terminal: what `acts` there is written as \uXXXX, so that a parser
/// reads the same value. Bytes that are not UTF-8 are U+FFFD, written so too. All JSON that a
/// person or a program is shown goes through here.
///
/// Shape: one line without its end, or `indent` columns for each level.
std::string printable_json(const nlohmann::json& value, int indent = -1);

/// The same with a line break: an answer, an event.
std::string json_line(const nlohmann::json& value);

} // namespace vmplug
