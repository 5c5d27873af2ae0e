#include "command/text/roff_text.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("text is text to roff") {
    CHECK(escape_roff("plain") == "plain");
    CHECK(escape_roff(".SH forged") == "\\&.SH forged");
    CHECK(escape_roff("one\n.SH two\n'three") == "one\n\\&.SH two\n\\(aqthree");
    CHECK(escape_roff("a.b") == "a.b");
    CHECK(escape_roff("\\fBbold\\n(.x") == "\\efBbold\\en(.x");
    CHECK(escape_roff("--with-group") == "\\-\\-with\\-group");
    CHECK(escape_roff("a \"quoted\" ^~`") == "a \\(dqquoted\\(dq \\(ha\\(ti\\(ga");
}

TEST_CASE("what stands between backticks is bold") {
    CHECK(format_roff_prose("run `vmplug recover` or wait") ==
          "run \\fBvmplug recover\\fR or wait");
    CHECK(format_roff_prose("`--json` first") == "\\fB\\-\\-json\\fR first");
    CHECK(format_roff_prose("one ` alone") == "one \\(ga alone");
    CHECK(format_roff_prose("") == "");
}
