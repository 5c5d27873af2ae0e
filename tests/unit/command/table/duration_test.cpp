#include "command/table/duration.hpp"

#include <doctest/doctest.h>

using namespace vmplug;
using namespace std::chrono_literals;

TEST_CASE("durations are whole numbers with a unit, up to a day") {
    CHECK(parse_duration("500ms").value() == 500ms);
    CHECK(parse_duration("5s").value() == 5s);
    CHECK(parse_duration("2m").value() == 2min);
    for (const auto* text :
         {"", "5", "s", "-1s", "5 s", "1.5s", "25h", "99999999999s", "2000m", "5sx"}) {
        CAPTURE(text);
        CHECK(parse_duration(text).has_error());
    }
}
