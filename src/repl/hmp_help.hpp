#pragma once

#include "command/complete/candidate.hpp"

#include <string_view>
#include <vector>

namespace vmplug {

/// Reads what a human monitor says to `help`: a command a line, "name|alias arguments -- what it
/// does"; below a command ("info") each line begins with that one. Untrusted: lines of another form
/// are skipped.
std::vector<candidate> parse_hmp_help(std::string_view text, std::string_view below);

} // namespace vmplug
