#pragma once

#include "command/text/text_style.hpp"

#include <string>
#include <vector>

namespace vmplug {

/// One line of a picture, and what hangs below it. Texts are raw: they are made safe when they are
/// drawn.
struct picture_node {
    std::string text;
    ink colour = ink::plain;
    std::string box = {}; ///< neighbours of one box are drawn in it, with all that hangs below them
    std::vector<picture_node> children = {};
};

/// Draws a tree with boxes, a line for each node, cut to the terminal's width.
std::string draw(const std::vector<picture_node>& roots, const text_style& style);

} // namespace vmplug
