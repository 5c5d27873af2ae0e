#pragma once

#include "command/table/invocation.hpp"
#include "command/table/verb.hpp"

#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// What the arguments of the program mean.
struct command_line {
    const verb* asked = nullptr;
    invocation values;
    std::string state_directory;
    bool json = false;
    bool verbose = false;

    /// Set instead of `asked` when there is nothing to run: help (exit 0) or a usage error (2).
    struct ending {
        int exit_code;
        std::string output;  ///< for stdout
        std::string failure; ///< for stderr
    };
    std::optional<ending> ended;
};

/// `words` are those behind the program's name.
command_line parse_command_line(const std::vector<std::string>& words);

} // namespace vmplug
