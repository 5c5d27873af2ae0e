#include "repl/verb_words.hpp"

#include <algorithm>

namespace vmplug {
namespace {

/// How many arguments are written; options and their values are none.
std::size_t count_arguments(const verb& row, const std::vector<std::string>& words) {
    std::size_t count = 0;
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (!words[i].starts_with("--")) {
            ++count;
            continue;
        }
        for (const auto& option : row.options)
            if (words[i] == option.name && option.value) ++i;
    }
    return count;
}

} // namespace

bool begins_with_guest(const verb& row) {
    return !row.arguments.empty() && row.arguments[0].required &&
           row.arguments[0].kind == value_kind::vm;
}

std::vector<std::string> with_guest(std::vector<std::string> words, const std::string& guest) {
    const auto& row = *find_verb(words.front());
    const auto required = std::ranges::count_if(row.arguments, &verb_argument::required);
    if (guest.empty() || !begins_with_guest(row)) return words;
    if (count_arguments(row, words) < static_cast<std::size_t>(required))
        words.insert(words.begin() + 1, guest);
    return words;
}

} // namespace vmplug
