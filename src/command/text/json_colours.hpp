#pragma once

#include "command/text/text_style.hpp"

#include <string>

namespace vmplug {

/// JSON text that is laid out already and safe for a terminal, with colours for keys, strings and
/// the rest.
std::string paint_json(const text_style& style, const std::string& text);

} // namespace vmplug
