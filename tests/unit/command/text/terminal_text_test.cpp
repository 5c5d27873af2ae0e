#include "command/text/terminal_text.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("text from outside cannot act on the terminal") {
    CHECK(escape_for_terminal("web-1 \u00e4") == "web-1 \u00e4");
    CHECK(escape_for_terminal("a\x1b[2Jb") == "a\\x1b[2Jb");
    CHECK(escape_for_terminal("a\r\nb\x7f") == "a\\x0d\\x0ab\\x7f");
    CHECK(escape_for_terminal("\xc2\x9b") == "\\xc2\\x9b");          // C1 CSI in UTF-8
    CHECK(escape_for_terminal("\xe2\x80\xae") == "\\xe2\\x80\\xae"); // right-to-left override
    CHECK(escape_for_terminal("\xff\xc3") == "\\xff\\xc3");
    CHECK(escape_for_terminal("\xc0\x8a") == "\\xc0\\x8a"); // overlong newline
}

TEST_CASE("what a terminal does not show, or piles up, is written out") {
    for (const auto* hidden : {"\u00ad", "\u061c", "\u200b", "\u200d", "\u200e", "\u2028", "\u202a",
                               "\u2066", "\u2069", "\ufe0f", "\ufeff", "\uffff", "\U000e0041"}) {
        CAPTURE(hidden);
        CHECK(escape_for_terminal(std::string("a") + hidden).starts_with("a\\x"));
    }
    CHECK(escape_for_terminal("\xed\xa0\x80") == "\\xed\\xa0\\x80");     // a surrogate
    CHECK(escape_for_terminal("\xe0\x81\xa1") == "\\xe0\\x81\\xa1");     // overlong 'a'
    CHECK(escape_for_terminal("\xf4\x90\x80\x80").starts_with("\\xf4")); // above U+10FFFF
    CHECK(escape_for_terminal("e\u0301") == "e\u0301");
    CHECK(escape_for_terminal("\u0301") == "\\xcc\\x81"); // it would stand on what is before it
    std::string pile = "e";
    for (int i = 0; i < 5; ++i)
        pile += "\u0301";
    CHECK(escape_for_terminal(pile) == pile.substr(0, 9) + "\\xcc\\x81");
}

TEST_CASE("columns are counted as a terminal counts them") {
    CHECK(display_width("w\u00e4b") == 3);
    CHECK(display_width("\u6f22\u5b57") == 4);
    CHECK(display_width("e\u0301") == 1);
    CHECK(display_width("\U0001f600") == 2);
    CHECK(display_width("\033[1;31mbad\033[0m") == 3);
    CHECK(cut_to_width("\u6f22\u5b57\u6f22", 4) == "\u6f22\u2026");
    CHECK(cut_to_width("\u6f22\u5b57\u6f22", 5) == "\u6f22\u5b57\u2026");
    CHECK(cut_to_width("e\u0301e\u0301e\u0301", 2) == "e\u0301\u2026");
    text_table table({"NAME", "TEXT"});
    table.add({"\u6f22\u5b57", "wide"});
    table.add({"e\u0301", "narrow"});
    CHECK(table.format({}) == "NAME  TEXT\n"
                              "\u6f22\u5b57  wide\n"
                              "e\u0301     narrow\n");
}

TEST_CASE("a table is aligned and its last column fits") {
    text_table table({"NAME", "TEXT"});
    table.add({"web", "short"});
    table.add({"database", "a long text that does not fit"});
    CHECK(table.format({24}) == "NAME      TEXT\n"
                                "web       short\n"
                                "database  a long text t\u2026\n");
    CHECK(table.format({}).find("does not fit") != std::string::npos);
}
