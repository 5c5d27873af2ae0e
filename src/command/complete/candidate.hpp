#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// A word that completion offers.
struct candidate {
    std::string text;
    std::string description; ///< for people, may hold anything
    bool is_option = false;  ///< of our own table: begins with dashes
};

/// Whether a word may be put into a command line as it is. Guests, journals and kernels name
/// things; a name that a shell, a terminal or our own parser would take for something else is not
/// offered at all: no quoting is right in three shells.
bool is_plain_word(std::string_view text);

/// What the shells' scripts read: the candidates that begin with `word`, one a line, "text TAB
/// description", without those that are no plain words. `before` is put in front of each: "--port="
/// where option and value are one word.
std::string format_candidates(const std::vector<candidate>& candidates, std::string_view before,
                              std::string_view word);

} // namespace vmplug
