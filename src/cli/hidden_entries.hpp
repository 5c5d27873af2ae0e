#pragma once

#include <optional>

namespace vmplug {

/// What programs call and people do not see, so it is in no help:
///
///     vmplug __complete WORD...   candidates for the last word, for the shells' scripts
///     vmplug __man_page           the manual page, for the build
///
/// Returns the exit code, nothing when the arguments name neither.
std::optional<int> run_hidden_entry(int argc, char** argv);

} // namespace vmplug
