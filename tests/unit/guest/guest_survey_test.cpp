#include "guest/guest_survey.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <map>

using namespace vmplug;
using nlohmann::json;

namespace {

/// Answers by "command arguments"; what is not in it, QEMU refused.
using replies = std::map<std::string, json>;

guest_facts survey(const replies& known) {
    guest_survey survey("7.2.22");
    int rounds = 0;
    for (auto batch = survey.next(); !batch.empty(); batch = survey.next()) {
        REQUIRE(++rounds < 5);
        for (std::size_t i = 0; i < batch.size(); ++i) {
            auto key = batch[i].command;
            if (!batch[i].arguments.empty()) {
                const auto arguments = json::parse(batch[i].arguments);
                for (const auto& [name, value] : arguments.items())
                    key += " " + value.get<std::string>();
            }
            const auto found = known.find(key);
            survey.answer(i, found == known.end() ? nullptr : &found->second);
        }
    }
    return survey.facts();
}

json child(const char* name, const char* type) {
    return {{"name", name}, {"type", std::string("child<") + type + ">"}};
}

// As QEMU 7.2 answered for -machine q35 with two root ports, one without an id, and an e1000e.
replies q35() {
    return {
        {"query-name", {{"name", "web"}}},
        {"query-status", {{"status", "prelaunch"}, {"singlestep", false}, {"running", false}}},
        {"query-migrate", json::object()},
        {"query-memory-size-summary", {{"base-memory", 67108864}, {"plugged-memory", 0}}},
        {"qom-get /machine type", "pc-q35-7.2-machine"},
        {"qom-list /machine/peripheral", json::array({{{"name", "type"}, {"type", "string"}},
                                                      child("nic9", "vfio-pci"),
                                                      child("rp1", "pcie-root-port"),
                                                      child("rp0", "pcie-root-port")})},
        {"qom-list /machine/peripheral-anon", json::array({child("device[0]", "pcie-root-port")})},
        {"qom-get /machine/peripheral/nic9 parent_bus", "/machine/peripheral/rp0/rp0"},
        {"qom-get /machine/peripheral/nic9 host", "0000:01:00.0"},
        {"qom-get /machine/peripheral/rp1 parent_bus", "/machine/q35/pcie.0"},
        {"qom-get /machine/peripheral/rp0 parent_bus", "/machine/q35/pcie.0"},
        {"qom-get /machine/peripheral/rp1 hotplug", true},
        {"device-list-properties vfio-pci",
         json::array({{{"name", "host"}, {"type", "str"}}, {{"name", "x-vga"}, {"type", "bool"}}})},
    };
}

json bridge_with(json devices) {
    return json::array({{{"bus", 0},
                         {"devices", json::array({{{"bus", 0},
                                                   {"slot", 1},
                                                   {"function", 0},
                                                   {"qdev_id", "rp0"},
                                                   {"regions", json::array()},
                                                   {"pci_bridge", {{"devices", devices}}}}})}}});
}

} // namespace

TEST_CASE("the ports of a q35 guest and what sits in them") {
    const auto facts = survey(q35());
    CHECK(facts.name == "web");
    CHECK(facts.ram_bytes == 67108864);
    CHECK(facts.find_port("rp1")->is_free());
    CHECK_FALSE(facts.find_port("rp0")->is_free());
    CHECK(facts.find_port("rp0")->occupants == std::vector<std::string>{"nic9"});
    CHECK_FALSE(facts.find_port("pcie.0")->takes_hot_add);
    CHECK_FALSE(facts.find_port("/machine/peripheral-anon/device[0]")->takes_hot_add);
    CHECK(facts.find_device("nic9")->host == "0000:01:00.0");
    CHECK(facts.vfio_pci->find("x-vga")->type == "bool");
    CHECK_FALSE(facts.pci_assign.has_value());
}

TEST_CASE("a port that was started without hot-plug is not offered") {
    auto known = q35();
    known["qom-get /machine/peripheral/rp1 hotplug"] = false;
    const auto facts = survey(known);
    CHECK_FALSE(facts.find_port("rp1")->is_free());
    CHECK(facts.find_port("rp1")->why_not == "it was started with hotplug=off");
}

TEST_CASE("a device is configured when its BARs have addresses") {
    auto known = q35();
    json nic{{"bus", 1}, {"slot", 0}, {"function", 0}, {"qdev_id", "nic9"}};
    for (const json& unset : {json(-1), json(~std::uint64_t{0}), json(0xffffffffU)}) {
        nic["regions"] = json::array({{{"bar", 0}, {"address", unset}}});
        known["query-pci"] = bridge_with(json::array({nic}));
        const auto facts = survey(known);
        CHECK_FALSE(facts.find_device("nic9")->configured);
        CHECK(facts.find_device("nic9")->address == guest_address{0, 1, 0, 0});
    }
    nic["regions"][0]["address"] = 4261412864;
    known["query-pci"] = bridge_with(json::array({nic}));
    CHECK(survey(known).find_device("nic9")->configured);
}

TEST_CASE("the i440fx root bus takes many devices") {
    auto known = q35();
    known["qom-get /machine type"] = "pc-i440fx-7.2-machine";
    known["qom-get /machine/peripheral/nic9 parent_bus"] = "/machine/i440fx/pci.0";
    const auto facts = survey(known);
    CHECK(facts.find_port("pci.0")->is_free());
    CHECK(facts.find_port("pci.0")->occupants == std::vector<std::string>{"nic9"});
}

TEST_CASE("replies of another form than documented count as missing") {
    for (const json& odd : {json(nullptr), json(1), json("x"), json::array({1, nullptr, "x"}),
                            json{{"devices", 1}, {"name", 2}, {"status", json::array()}}}) {
        auto known = q35();
        for (auto& [key, value] : known)
            value = odd;
        known["query-pci"] = odd;
        const auto facts = survey(known);
        CHECK(facts.find_device("nic9") == nullptr);
    }
    CHECK(survey({}).devices.empty());
}
