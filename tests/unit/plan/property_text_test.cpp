#include "plan/property_text.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("a property gets the type that QEMU says it has") {
    const device_model model{"vfio-pci",
                             {{"x-vga", "bool"},
                              {"romfile", "str"},
                              {"x-pci-device-id", "uint32"},
                              {"bootindex", "int32"},
                              {"pref64-reserve", "size"},
                              {"display", "OnOffAuto"},
                              {"addr", "int32"}}};
    const auto typed = [&](const char* name, const char* text) {
        return type_property(model, name, text);
    };
    CHECK(typed("x-vga", "on").value() == "true");
    CHECK(typed("x-vga", "no").value() == "false");
    CHECK(typed("romfile", "/a \"b\"\n").value() == R"("/a \"b\"\u000a")");
    CHECK(typed("x-pci-device-id", "0x10d3").value() == "4307");
    CHECK(typed("bootindex", "-1").value() == "-1");
    CHECK(typed("pref64-reserve", "2G").value() == "2147483648");
    CHECK(typed("display", "off").value() == "\"off\"");
    CHECK(typed("addr", "0x0").value() == "\"0x0\"");
    for (const auto& wrong : {std::pair{"x-vga", "maybe"}, std::pair{"x-pci-device-id", "-1"},
                              std::pair{"pref64-reserve", "99999999999T"},
                              std::pair{"bootindex", ""}, std::pair{"nonsense", "1"}}) {
        CAPTURE(wrong.first);
        CHECK(typed(wrong.first, wrong.second).error().code == error_code::property_unknown);
    }
}
