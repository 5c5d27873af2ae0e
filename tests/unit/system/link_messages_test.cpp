#include "port/netdev_rules.hpp"
#include "system/link_messages.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("names of interfaces are those that the kernel takes") {
    for (const char* name : {"eth0", "a", "enp1s0f0np0", "br-lan.7", "fifteen-letters"})
        CHECK(is_netdev_name(name));
    for (const char* name : {"", ".", "..", "a/b", "a b", "a:b", "sixteen-letters-", "a\n"})
        CHECK(!is_netdev_name(name));
    CHECK(is_alternative_name("a name that is longer than an interface's"));
    CHECK(!is_alternative_name("a\nb"));
    CHECK(!is_alternative_name(std::string(128, 'x')));
}

TEST_CASE("a MAC is bytes") {
    CHECK(parse_mac("52:54:00:12:34:56") == std::string("\x52\x54\x00\x12\x34\x56", 6));
    CHECK(parse_mac("0a") == "\n");
    for (const char* text :
         {"", "52:54:00:12:34:5", "52:54:00:12:34:567", "52-54", "52:", ":52", "gg"})
        CHECK(parse_mac(text).empty());
    std::string infiniband = "80";
    for (int i = 1; i < 20; ++i)
        infiniband += ":0f";
    CHECK(parse_mac(infiniband).size() == 20);
    for (int i = 0; i < 13; ++i)
        infiniband += ":00";
    CHECK(parse_mac(infiniband).empty());
}

TEST_CASE("answers that are none are no crash") {
    CHECK(parse_links("").value().empty());
    CHECK(parse_links("abc").value().empty());
    CHECK(parse_links(std::string(4000, '\xff')).value().empty());
    for (const auto& request : link_dump_requests())
        CHECK(parse_links(request).value().empty());
}

TEST_CASE("a change says what is changed, and nothing else") {
    link_change change;
    change.index = 7;
    change.name = "a/b";
    CHECK(format_link_change(change).has_error());
    change.name = "eth1";
    change.mac = "x";
    CHECK(format_link_change(change).has_error());
    change.mac = "52:54:00:12:34:56";
    const auto plain = format_link_change(change).value();
    CHECK(plain.descriptor_at == 0);
    CHECK(plain.message.find("eth1") != std::string::npos);
    change.namespace_file = "/run/netns/pod";
    const auto moved = format_link_change(change).value();
    CHECK(moved.descriptor_at + 4 == moved.message.size());
    change.alternative_names = {"a\nb"};
    CHECK(format_link_change(change).has_error());
}
