#pragma once

#include "command/table/verb.hpp"

#include <vmplug/error.hpp>

#include <optional>
#include <span>
#include <string>

namespace vmplug {

/// What is wrong with the values of one argument or option, by its kind alone: an empty one, which
/// is what a script's unset variable becomes, names nothing, and neither do blanks or a line break.
///
/// Errors: invalid_argument, `where` being `name`.
std::optional<error> find_fault(const std::string& name, value_kind kind,
                                std::span<const std::string> values);

} // namespace vmplug
