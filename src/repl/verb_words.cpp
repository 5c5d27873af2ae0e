#include "repl/verb_words.hpp"

#include <algorithm>

namespace vmplug {

bool begins_with_guest(const verb& row) {
    return !row.arguments.empty() && row.arguments[0].required &&
           row.arguments[0].kind == value_kind::vm;
}

written_line read_with_guest(std::span<const std::string> words, const std::string& guest) {
    auto line = read_line(words);
    if (guest.empty() || !begins_with_guest(*line.row)) return line;
    const auto required = std::ranges::count_if(line.row->arguments, &verb_argument::required);
    if (line.arguments >= static_cast<std::size_t>(required)) return line;
    line_reader reader;
    reader.take(words.front());
    reader.take_argument(guest); // whatever it looks like
    std::ranges::for_each(words.subspan(1), [&](const auto& word) { reader.take(word); });
    return reader.line();
}

} // namespace vmplug
