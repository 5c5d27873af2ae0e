#include "command/text/code_point.hpp"
#include "command/text/printable_json.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace vmplug;
using nlohmann::json;

TEST_CASE("JSON keeps its value and shows nothing that acts") {
    const json value{{"na\u202eme", "\u009b2J \u2028 \ufeff \x7f \U000e0041 \x1b \u00e4\u6f22"}};
    const auto text = printable_json(value);
    CHECK(text == R"({"na\u202eme":"\u009b2J \u2028 \ufeff \u007f \udb40\udc41 \u001b )"
                  "\u00e4\u6f22\"}");
    CHECK(json::parse(text) == value);
}

TEST_CASE("bytes that are not UTF-8 are replaced, and said so in plain characters") {
    for (const auto* bytes : {"\xff", "\xc2", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc0\x8a"}) {
        CAPTURE(bytes);
        const auto text = printable_json({{"name", std::string("a") + bytes + "b"}});
        CHECK(text.find("\\ufffd") != text.npos);
        CHECK(std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7f; }));
        CHECK(json::parse(text)["name"].get<std::string>().starts_with("a\ufffd"));
    }
}

TEST_CASE("no code point that acts is left in JSON, and every other one stays as it is") {
    for (char32_t value = 0x20; value <= 0x10ffff; ++value) {
        if (value >= 0xd800 && value < 0xe000) continue;
        // By way of JSON's own escapes: an encoder that is not ours.
        char escape[16];
        const auto above = value - 0x10000;
        if (value < 0x10000)
            std::snprintf(escape, sizeof escape, "\"\\u%04x\"", static_cast<unsigned>(value));
        else
            std::snprintf(escape, sizeof escape, "\"\\u%04x\\u%04x\"",
                          static_cast<unsigned>(0xd800 + (above >> 10)),
                          static_cast<unsigned>(0xdc00 + (above & 0x3ff)));
        const auto parsed = json::parse(escape);
        const auto text = printable_json(parsed);
        const bool escaped = text.find("\\u") != text.npos;
        if (escaped != (acts(value) || value == 0xfffd)) FAIL(escape);
        if (json::parse(text) != parsed) FAIL(escape);
    }
}

TEST_CASE("laid out for people it is the same JSON") {
    const json value{{"a", json::array({1, "\u202e"})}};
    CHECK(printable_json(value, 2) == "{\n  \"a\": [\n    1,\n    \"\\u202e\"\n  ]\n}");
    CHECK(json_line(value) == printable_json(value) + "\n");
}
