#include "command/text/roff_text.hpp"

namespace vmplug {
namespace {

/// How roff spells a character that it would take for its own or print as another one.
std::string_view spelling(char character) {
    switch (character) {
    case '\\':
        return "\\e";
    case '-':
        return "\\-";
    case '\'':
        return "\\(aq";
    case '"':
        return "\\(dq";
    case '`':
        return "\\(ga";
    case '^':
        return "\\(ha";
    case '~':
        return "\\(ti";
    default:
        return {};
    }
}

} // namespace

std::string escape_roff(std::string_view text) {
    std::string out;
    bool line_begins = true;
    for (const char character : text) {
        // A dot or a quote that begins a line makes a request of it; the quote is spelled anyway.
        if (line_begins && character == '.') out += "\\&";
        const auto spelled = spelling(character);
        if (spelled.empty())
            out += character;
        else
            out += spelled;
        line_begins = character == '\n';
    }
    return out;
}

std::string roff_bold(std::string_view text) {
    return "\\fB" + escape_roff(text) + "\\fR";
}

std::string roff_italic(std::string_view text) {
    return "\\fI" + escape_roff(text) + "\\fR";
}

std::string format_roff_prose(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto begin = text.find('`');
        const auto end = begin == text.npos ? text.npos : text.find('`', begin + 1);
        if (end == text.npos) return out + escape_roff(text);
        out += escape_roff(text.substr(0, begin));
        out += roff_bold(text.substr(begin + 1, end - begin - 1));
        text.remove_prefix(end + 1);
    }
    return out;
}

} // namespace vmplug
