#pragma once

#include <vmplug/finding.hpp>

#include <string>
#include <string_view>

// What a person at a command line can do: the only place that knows a verb's or an option's name
// for a failure of the engine.
namespace vmplug {

/// What helps against a code in general.
std::string_view remedy_of(error_code code);

/// What helps against this failure.
std::string remedy_of(const error& failure);

/// What a finding advises, empty when that is nothing.
std::string remedy_of(const finding& found);

/// `where` as the reader wrote it: "--id nic0".
std::string where_of(const error& failure);

} // namespace vmplug
