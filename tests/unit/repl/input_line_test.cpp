#include "repl/input_line.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

namespace {

std::vector<std::string> words(const char* text) {
    const auto found = split_words(text);
    REQUIRE(found.has_value());
    return *found;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE("words, quotes and brackets") {
    CHECK(words("") == list{});
    CHECK(words("  a  b\t") == list{"a", "b"});
    CHECK(words("a 'b c' \"d \\\" e\"") == list{"a", "b c", "d \" e"});
    CHECK(words("a\\ b") == list{"a b"});
    CHECK(words(R"(x={"a": [1, "} ]"]} y=1)") == list{R"(x={"a": [1, "} ]"]})", "y=1"});
    CHECK(words("$(reboot) `id` a;b") == list{"$(reboot)", "`id`", "a;b"});
    CHECK(split_words("a 'b").has_error());
    CHECK(split_words("x={\"a\": 1").has_error());
}

TEST_CASE("what a line is") {
    const auto kind = [](const char* text) { return parse_input_line(text)->what; };
    CHECK(kind("   ") == input_line::kind::nothing);
    CHECK(kind("# attach web") == input_line::kind::nothing);
    CHECK(kind("use web") == input_line::kind::own);
    CHECK(kind("attach 01:00.0") == input_line::kind::verb);
    CHECK(kind("query-pci") == input_line::kind::qmp);
    CHECK(kind("stop") == input_line::kind::qmp);
    CHECK(kind("{\"execute\": \"stop\"}") == input_line::kind::json);
    CHECK(kind("!info pci") == input_line::kind::hmp);
    CHECK(kind("hmp info pci") == input_line::kind::hmp);
    CHECK(parse_input_line("hmp  print \"x").value().text == "print \"x");
    CHECK(parse_input_line("!").value().text.empty());
    CHECK(parse_input_line(" ! info pci ")->text == "info pci");
    CHECK(parse_input_line("{\"execute\": ").has_error());
}

TEST_CASE("JSON goes on until its brackets are closed") {
    CHECK(is_open_json("{"));
    CHECK(is_open_json("{\"a\": \"}\""));
    CHECK(!is_open_json("{\"a\": \"{\"}"));
    CHECK(!is_open_json("query-pci"));
}

TEST_CASE("a script is split at semicolons and line ends, not inside of values") {
    CHECK(split_script("a; b\nc") == list{"a", " b", "c"});
    CHECK(split_script("a 'x;y'; {\"k\": \";\"}") == list{"a 'x;y'", " {\"k\": \";\"}"});
    CHECK(split_script("{\n\"a\": 1\n}").size() == 1);
}
