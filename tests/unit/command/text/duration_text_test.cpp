#include "command/text/duration_text.hpp"

#include <doctest/doctest.h>

using namespace vmplug;
using namespace std::chrono_literals;

TEST_CASE("a time has the unit that a person would take") {
    CHECK(format_duration(37us) == "37 us");
    CHECK(format_duration(2600us) == "2.6 ms");
    CHECK(format_duration(1250ms) == "1.25 s");
}
