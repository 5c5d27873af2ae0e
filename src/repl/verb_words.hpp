#pragma once

#include "command/table/verb.hpp"

#include <string>
#include <vector>

namespace vmplug {

/// `attach 01:00.0` means the guest in use: its name is put in where the verb wants a guest first
/// and one word more than was written. `words` begins with a verb of the table.
std::vector<std::string> with_guest(std::vector<std::string> words, const std::string& guest);

/// Whether the verb's first argument is a guest that has to be named.
bool begins_with_guest(const verb& row);

} // namespace vmplug
