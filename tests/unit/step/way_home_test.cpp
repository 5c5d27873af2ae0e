#include "step/field_check.hpp"
#include "step/netdev_text.hpp"
#include "step/shell.hpp"
#include "step/steps.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <memory>

using namespace vmplug;

namespace {

netdev_state sample() {
    netdev_state netdev;
    netdev.name = "eth1";
    netdev.alternative_names = {"wan0", "it's the provider's"};
    netdev.place = "usb3/3-1/3-1:1.0";
    netdev.dev_port = 1;
    netdev.mac = "52:54:00:aa:aa:03";
    netdev.permanent_mac = "52:54:00:00:00:03";
    netdev.mtu = 9000;
    netdev.up = true;
    netdev.master = "br0";
    netdev.addresses = {"192.0.2.7/24", "2001:db8::7/64"};
    netdev.other_namespace = network_namespace{4026532281, "/run/netns/pod", {"4e8e-11", 0, 0}};
    return netdev;
}

/// What a shell makes of a word.
std::string echoed(const std::string& word) {
    const auto command = "printf %s " + word;
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"),
                                                               &::pclose);
    std::string text;
    for (int c = std::fgetc(pipe.get()); c != EOF; c = std::fgetc(pipe.get()))
        text += static_cast<char>(c);
    return text;
}

} // namespace

TEST_CASE("interfaces come back from the journal as they went in") {
    std::vector<netdev_state> netdevs{sample(), netdev_state()};
    netdevs.back().name = "eth2";
    CHECK(parse_netdevs(format_netdevs(netdevs)).value() == netdevs);
    CHECK(format_netdevs({}).empty());
    CHECK(parse_netdevs("").value().empty());
}

TEST_CASE("interfaces that no kernel has are not believed") {
    const auto refused = [](void (*spoil)(netdev_state&)) {
        auto netdev = sample();
        spoil(netdev);
        const auto parsed = parse_netdevs(format_netdevs({netdev}));
        return parsed.has_error() && parsed.error().code == error_code::journal_corrupt;
    };
    CHECK(!refused([](netdev_state&) {}));
    CHECK(refused([](netdev_state& each) { each.name = "../x"; }));
    CHECK(refused([](netdev_state& each) { each.name = ""; }));
    CHECK(refused([](netdev_state& each) { each.mac = "$(reboot)"; }));
    CHECK(refused([](netdev_state& each) { each.permanent_mac = "1"; }));
    CHECK(refused([](netdev_state& each) { each.place = "../.."; }));
    CHECK(refused([](netdev_state& each) { each.place = "/etc"; }));
    CHECK(refused([](netdev_state& each) { each.place = "a b"; }));
    CHECK(refused([](netdev_state& each) { each.master = "a b"; }));
    CHECK(refused([](netdev_state& each) { each.alternative_names = {"a\nb"}; }));
    CHECK(refused([](netdev_state& each) { each.addresses = {"1.2.3/8"}; }));
    CHECK(refused([](netdev_state& each) { each.other_namespace->path = "/run/../etc"; }));
    CHECK(refused([](netdev_state& each) { each.other_namespace->path = "run"; }));
    CHECK(refused([](netdev_state& each) { each.other_namespace->path.clear(); }));
    CHECK(refused([](netdev_state& each) { each.other_namespace->process.pid = -1; }));
    CHECK(parse_netdevs("[").has_error());
    CHECK(parse_netdevs("[1]").has_error());
    CHECK(parse_netdevs(R"([{"name":7}])").has_error());
}

TEST_CASE("components of paths cannot leave their place") {
    for (const char* text : {"e1000e", "xhci_hcd", "hexium HV-PCI6!Orion", "8139cp", "vfio-pci"})
        CHECK(is_component(text));
    for (const char* text :
         {"", ".", "..", "a/b", "../x", "-C", "a\n", "$x", "a;b", "a'b", "\xc3\xa4"})
        CHECK(!is_component(text));
    CHECK(!is_component(std::string(65, 'x')));
    CHECK(is_device_address("0000:01:00.0"));
    for (const char* text : {"", "01:00.0", "0000:01:00.0/..", "0000:01:00.0\n", " 0000:01:00.0"})
        CHECK(!is_device_address(text));
    CHECK(is_modalias("pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00"));
    CHECK(!is_modalias("pci:v*"));
    CHECK(!is_modalias("usb:x"));
    CHECK(is_qdev_id("host-0000-01-00.0"));
    CHECK(!is_qdev_id("7"));
    CHECK(!is_qdev_id("a b"));
    CHECK(is_pid("4711"));
    for (const char* text : {"", "0", "-1", "7x", "99999999999"})
        CHECK(!is_pid(text));
}

TEST_CASE("a word of a shell is that word") {
    for (const char* text : {"eth1", "it's", "a b", "$(reboot)", "`x`", "", "a\"b", "*", "-n", "~"})
        CHECK(echoed(quote_for_shell(text)) == text);
    CHECK(place_pattern("") == "");
    CHECK(place_pattern("virtio3") == "virtio*/");
    CHECK(place_pattern("usb3/3-1/3-1:1.0") == "usb*/*-*/*-*:*.*/");
}

TEST_CASE("commands for a person lead to the target and are one line each") {
    const auto* kind = find_step_kind("set_binding");
    const fields home{{"device", "0000:01:00.0"}, {"driver", "e1000e"},
                      {"driver_override", ""},    {"module", "e1000e"},
                      {"netdev", "eth1"},         {"netdevs", format_netdevs({sample()})}};
    REQUIRE(kind->check(home, {}).has_value());
    const auto commands = kind->manual_finish(home, {});
    std::string all;
    for (const auto& each : commands) {
        CHECK(each.find('\n') == std::string::npos);
        all += each + "\n";
    }
    for (const char* part : {"modprobe e1000e", "/driver_override", "/unbind", "/bind", "name eth1",
                             "mtu 9000", "address 52:54:00:aa:aa:03", "altname wan0",
                             "netns /run/netns/pod", "usb*/*-*/*-*:*.*/net"})
        CHECK_MESSAGE(all.find(part) != std::string::npos, part << " is not in\n" << all);
    CHECK(all.find("modprobe") < all.find("/unbind"));
    CHECK(all.find("name eth1") < all.find("netns"));
    // To no driver at all: nothing is loaded or bound.
    auto none = home;
    none["driver"] = none["netdevs"] = none["netdev"] = "";
    for (const auto& each : kind->manual_finish(none, {}))
        CHECK(each.find("bind") == each.find("bind", each.find("unbind")));
}
