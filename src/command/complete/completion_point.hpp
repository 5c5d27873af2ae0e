#pragma once

#include "command/table/line_reader.hpp"

namespace vmplug {

/// Where in a command line the cursor is.
struct completion_point {
    enum class target { nothing, verb_name, option_name, value };

    target expects = target::nothing;
    const verb* row = nullptr; ///< nullptr: no verb yet
    value_kind kind = value_kind::none;
    const char* choices = "";
    std::string before;   ///< "--driver=" where option and value are one word
    std::string word;     ///< what is written of it so far, without `before`
    written_values given; ///< what stands before it

    /// The option can still be given.
    bool takes(const verb_option& option) const;
};

/// Reads the words after the program's name, the last one being the one that is written.
completion_point find_completion_point(std::span<const std::string> words);

} // namespace vmplug
