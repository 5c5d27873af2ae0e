#include "command/text/text_style.hpp"

namespace vmplug {
namespace {

/// SGR parameters. None depends on whether the background is dark or light.
const char* code_of(ink colour) {
    switch (colour) {
    case ink::plain:
        break;
    case ink::good:
        return "32";
    case ink::doubtful:
        return "33";
    case ink::bad:
        return "1;31";
    case ink::quiet:
        return "2";
    case ink::name:
        return "36";
    case ink::text:
        return "35";
    }
    return "";
}

} // namespace

std::string paint(const text_style& style, ink colour, const std::string& text) {
    if (!style.colour || colour == ink::plain || text.empty()) return text;
    return std::string("\033[") + code_of(colour) + "m" + text + "\033[0m";
}

} // namespace vmplug
