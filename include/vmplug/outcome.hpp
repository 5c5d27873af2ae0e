#pragma once

#include <optional>
#include <string_view>

namespace vmplug {

/// How an operation ended; the exit code of the command follows from it.
enum class outcome {
    done,           ///< verified, not assumed
    refused,        ///< a check said no; nothing was touched
    rolled_back,    ///< failed part-way; everything is back as it was, verified
    unplug_pending, ///< the guest has not let go yet; tracked in the journal
    unknown,        ///< sent, no answer; nothing is undone until a probe settles it
    stuck,          ///< undo could not be completed; the device and port stay reserved
};

std::string_view outcome_name(outcome value);
std::optional<outcome> parse_outcome(std::string_view name);

/// 0, 3, 4, 5, 6, 7 in the order above. 1 is a fault and 2 is bad usage.
int exit_code(outcome value);

} // namespace vmplug
