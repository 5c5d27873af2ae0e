#pragma once

#include "command/table/line_reader.hpp"

#include <span>
#include <string>

namespace vmplug {

/// `attach 01:00.0` means the guest in use: its name is the first argument where the verb wants a
/// guest there and one word more than was written. `words` begins with a verb of the table.
written_line read_with_guest(std::span<const std::string> words, const std::string& guest);

/// Whether the verb's first argument is a guest that has to be named.
bool begins_with_guest(const verb& row);

} // namespace vmplug
