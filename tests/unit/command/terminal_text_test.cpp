#include "command/duration.hpp"
#include "command/terminal_text.hpp"

#include <doctest/doctest.h>

using namespace vmplug;
using namespace std::chrono_literals;

TEST_CASE("text from outside cannot act on the terminal") {
    CHECK(escape_for_terminal("web-1 \u00e4") == "web-1 \u00e4");
    CHECK(escape_for_terminal("a\x1b[2Jb") == "a\\x1b[2Jb");
    CHECK(escape_for_terminal("a\r\nb\x7f") == "a\\x0d\\x0ab\\x7f");
    CHECK(escape_for_terminal("\xc2\x9b") == "\\xc2\\x9b");          // C1 CSI in UTF-8
    CHECK(escape_for_terminal("\xe2\x80\xae") == "\\xe2\\x80\\xae"); // right-to-left override
    CHECK(escape_for_terminal("\xff\xc3") == "\\xff\\xc3");
    CHECK(escape_for_terminal("\xc0\x8a") == "\\xc0\\x8a"); // overlong newline
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

TEST_CASE("durations") {
    CHECK(parse_duration("500ms").value() == 500ms);
    CHECK(parse_duration("5s").value() == 5s);
    CHECK(parse_duration("2m").value() == 2min);
    for (const auto* text :
         {"", "5", "s", "-1s", "5 s", "1.5s", "25h", "99999999999s", "2000m", "5sx"}) {
        CAPTURE(text);
        CHECK(parse_duration(text).has_error());
    }
    CHECK(format_duration(37us) == "37 us");
    CHECK(format_duration(2600us) == "2.6 ms");
    CHECK(format_duration(1250ms) == "1.25 s");
}
