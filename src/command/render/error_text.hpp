#pragma once

#include "command/text/text_style.hpp"

#include <nlohmann/json.hpp>

#include <string>

namespace vmplug {

/// "code: where: text" and the remedy, for stderr.
std::string render_error(const nlohmann::json& failure, const text_style& style = {});

} // namespace vmplug
