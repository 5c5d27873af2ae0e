#include <vmplug/pci_address.hpp>

#include <doctest/doctest.h>

#include <type_traits>

using namespace vmplug;

TEST_CASE("an address is parsed with and without its domain") {
    CHECK(parse_host_address("0000:01:00.0").value() == host_address{0, 1, 0, 0});
    CHECK(parse_host_address("01:00.0").value() == host_address{0, 1, 0, 0});
    CHECK(parse_host_address("10000:e1:1f.7").value() == host_address{0x10000, 0xe1, 0x1f, 7});
    CHECK(format_address(host_address{0x10000, 0xe1, 0x1f, 7}) == "10000:e1:1f.7");
    CHECK(format_address_short(host_address{0, 1, 0, 0}) == "01:00.0");
}

TEST_CASE("anything else is refused with the form that is wanted") {
    for (const auto* text : {"", "01", "01:00", "01:20.0", "01:00.8", "01:00.0 ", "0x1:00.0",
                             "-1:00.0", "../..", "01:00.0/../x", "0000:01:00.0:",
                             "123456789:01:00.0", "100:00.0", "0000:01:00.0;reboot"}) {
        CAPTURE(text);
        const auto address = parse_host_address(text);
        REQUIRE(address.has_error());
        CHECK(address.error().code == error_code::invalid_argument);
        CHECK(address.error().remedy.find("0000:01:00.0") != std::string::npos);
    }
}

TEST_CASE("an address of the host is not one of the guest") {
    static_assert(!std::is_convertible_v<host_address, guest_address>);
}
