#include "command/text/json_colours.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("JSON is painted by what it is") {
    const std::string text = "{\n  \"a\\\"b\": \"x\",\n  \"n\": [1, true]\n}\n";
    CHECK(paint_json({}, text) == text);
    CHECK(paint_json({0, false, true}, text) ==
          "{\n  \x1b[36m\"a\\\"b\"\x1b[0m: \x1b[35m\"x\"\x1b[0m,\n  \x1b[36m\"n\"\x1b[0m: "
          "[\x1b[33m1\x1b[0m, \x1b[33mtrue\x1b[0m]\n}\n");
    for (const auto* broken : {"\"", "\"a\\", "{\"a\": tru"})
        CHECK(paint_json({0, false, true}, broken).find("\x1b[0m") != std::string::npos);
}
