#pragma once

#include "command/table/verb.hpp"

#include <string>

namespace vmplug {

/// One line for each verb; a verb's own help tells all.
std::string help_overview();

std::string help_of(const verb& row);

} // namespace vmplug
