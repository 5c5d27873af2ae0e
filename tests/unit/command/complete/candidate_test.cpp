#include "command/complete/candidate.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("words that a shell, a terminal or our parser would take otherwise are no plain words") {
    for (const auto* word :
         {"web", "web-1.example", "0000:01:00.0", "/run/web.qmp", "tcp:h:1", "_a"})
        CHECK_MESSAGE(is_plain_word(word), word);
    for (const auto* word :
         {"",       "a b",   "a\tb", "a\nb",   "a\x1b[2J", "$(reboot)", "`reboot`", "a;b",
          "a|b",    "a&b",   "a>b",  "a'b",    "a\"b",     "a\\b",      "a*",       "a?",
          "[a]",    "{a,b}", "(a)",  "!a",     "#a",       "~a",        "a~",       "-rf",
          "--help", "=ls",   "a%b",  "\u00e4", "\u202e",   "\xff"})
        CHECK_FALSE_MESSAGE(is_plain_word(word), word);
    CHECK_FALSE(is_plain_word(std::string("a\0b", 3)));
    CHECK(is_plain_word(std::string(200, 'a')));
    CHECK_FALSE(is_plain_word(std::string(201, 'a')));
}

TEST_CASE("candidates are one a line, and begin with what is written") {
    const std::vector<candidate> found{{"web", "pid 7"}, {"db", ""}, {"we b", ""}, {"west", "x"}};
    CHECK(format_candidates(found, "", "we") == "web\tpid 7\nwest\tx\n");
    CHECK(format_candidates(found, "--vm=", "d") == "--vm=db\n");
    CHECK(format_candidates(found, "", "none") == "");
}

TEST_CASE("a description cannot forge a candidate or act on the terminal") {
    CHECK(format_candidates({{"web", "a\nreboot\tb\x1b[2J"}}, "", "") ==
          "web\ta\\x0areboot\\x09b\\x1b[2J\n");
}

TEST_CASE("only options of the table begin with dashes") {
    CHECK(format_candidates({{"--json", "", true}, {"--forged", ""}}, "", "--") == "--json\n");
}
