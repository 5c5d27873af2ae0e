#include "repl/hmp_help.hpp"

#include <algorithm>

namespace vmplug {
namespace {

constexpr std::size_t commands_max = 1000;

/// Takes the text up to a separator, and the separator, off the front.
std::string_view take(std::string_view& text, std::string_view separator) {
    const auto end = std::min(text.find(separator), text.size());
    const auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + separator.size(), text.size()));
    return part;
}

} // namespace

std::vector<candidate> parse_hmp_help(std::string_view text, std::string_view below) {
    std::vector<candidate> found;
    while (!text.empty() && found.size() < commands_max) {
        auto line = take(text, "\n");
        while (!line.empty() && line.back() == '\r')
            line.remove_suffix(1);
        if (!below.empty() && take(line, " ") != below) continue;
        auto usage = take(line, " -- ");
        auto names = take(usage, " ");
        if (line.empty()) continue;
        // Of "c|cont" the longer: nobody completes one letter.
        const auto first = take(names, "|");
        found.push_back(
            {std::string(names.size() > first.size() ? names : first), std::string(line)});
    }
    return found;
}

} // namespace vmplug
