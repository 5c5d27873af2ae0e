#include "command/text/picture.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

namespace {

const text_style plain{};
const text_style unicode{0, true, false};

picture_node node(std::string text, std::string box = {}, std::vector<picture_node> below = {}) {
    return {std::move(text), ink::plain, std::move(box), std::move(below)};
}

} // namespace

TEST_CASE("a tree has a line for each node") {
    const std::vector<picture_node> roots{node("bus", "", {node("a", "", {node("b")}), node("c")})};
    CHECK(draw(roots, plain) == "bus\n"
                                "|- a\n"
                                "|  `- b\n"
                                "`- c\n");
    CHECK(draw(roots, unicode) == "bus\n"
                                  "├─ a\n"
                                  "│  └─ b\n"
                                  "└─ c\n");
}

TEST_CASE("neighbours of one box are drawn in it, and what hangs below them in no box of its own") {
    const std::vector<picture_node> roots{
        node("bus", "",
             {node("x"), node("bridge", "group 11", {node("left", "group 11"), node("y", "other")}),
              node("right", "group 11")})};
    CHECK(draw(roots, plain) == "bus\n"
                                "|- x\n"
                                "`- +- group 11 -----+\n"
                                "   | bridge         |\n"
                                "   | |- left        |\n"
                                "   | `- +- other -+ |\n"
                                "   |    | y       | |\n"
                                "   |    +---------+ |\n"
                                "   | right          |\n"
                                "   +----------------+\n");
}

TEST_CASE("a picture fits the terminal and its texts cannot act on it") {
    const std::vector<picture_node> roots{
        node("bus", "", {node("a text that is too long for it", "box"), node("\x1b[2J")})};
    CHECK(draw(roots, {20, true, false}) == "bus\n"
                                            "├─ ┌─ box ─────────┐\n"
                                            "│  │ a text that … │\n"
                                            "│  └───────────────┘\n"
                                            "└─ \\x1b[2J\n");
    const auto coloured = draw({{"free", ink::good}}, {0, true, true});
    CHECK(coloured == "\x1b[32mfree\x1b[0m\n");
}
