#pragma once

#include <cstddef>
#include <string>

namespace vmplug {

/// What the reader's end can show. As it is made, that of a file: nothing is cut, no colours,
/// ASCII.
struct text_style {
    std::size_t width = 0; ///< columns of the terminal, 0: there is none
    bool unicode = false;  ///< box-drawing characters
    bool colour = false;
};

/// What a colour says.
enum class ink {
    plain,
    good,     ///< free, done, ok
    doubtful, ///< taken, pending, worth a look
    bad,      ///< failed
    quiet,    ///< there, and of no interest
    name,     ///< what is named: keys, events
    text,     ///< strings in JSON
};

/// `text`, which has to be safe for a terminal, in a colour where there are colours.
std::string paint(const text_style& style, ink colour, const std::string& text);

} // namespace vmplug
