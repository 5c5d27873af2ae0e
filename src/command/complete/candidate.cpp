#include "command/complete/candidate.hpp"

#include "command/text/terminal_text.hpp"

#include <algorithm>

namespace vmplug {
namespace {

constexpr std::size_t word_bytes_max = 200;

bool is_alphanumeric(char character) {
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9');
}

bool is_plain(char character) {
    return is_alphanumeric(character) ||
           std::string_view("_-.:/@+=,").find(character) != std::string_view::npos;
}

/// Not what makes an option, a home directory or zsh's `=command` of a word.
bool begins_plainly(std::string_view text) {
    return is_alphanumeric(text.front()) || text.front() == '/' || text.front() == '_';
}

} // namespace

bool is_plain_word(std::string_view text) {
    return !text.empty() && text.size() <= word_bytes_max && begins_plainly(text) &&
           std::ranges::all_of(text, is_plain);
}

std::string format_candidates(const std::vector<candidate>& candidates, std::string_view before,
                              std::string_view word) {
    std::string out;
    for (const auto& each : candidates) {
        const bool fits = each.text.starts_with(word);
        if (!fits || !(each.is_option || is_plain_word(each.text))) continue;
        out.append(before).append(each.text);
        if (!each.description.empty()) out += '\t' + escape_for_terminal(each.description);
        out += '\n';
    }
    return out;
}

} // namespace vmplug
