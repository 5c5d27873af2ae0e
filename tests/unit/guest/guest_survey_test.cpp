#include "guest/guest_survey.hpp"
#include "support/qapi_schema.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <map>

using namespace vmplug;
using nlohmann::json;

namespace {

/// Answers by "command arguments"; what is not in it, QEMU refused.
using replies = std::map<std::string, json>;

/// What QEMU's schema forbids, QEMU does not answer.
void check_allowed(const std::string& command, const json& answer) {
    static const testing::qapi_schema schema("7.2");
    REQUIRE(schema.offence_of_answer(command, answer) == "");
}

enum class believed { yes, no };

guest_facts survey(const replies& known, const char* version = "7.2.22",
                   believed qemu = believed::yes) {
    guest_survey survey(version);
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
            if (found != known.end() && qemu == believed::yes)
                check_allowed(batch[i].command, found->second);
            survey.answer(i, found == known.end() ? nullptr : &found->second);
        }
    }
    return survey.facts();
}

json child(const char* name, const char* type) {
    return {{"name", name}, {"type", std::string("child<") + type + ">"}};
}

constexpr const char* tree = "human-monitor-command info qom-tree";

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
        {tree, "/machine (pc-q35-7.2-machine)\r\n"
               "  /peripheral (container)\r\n"
               "    /nic9 (vfio-pci)\r\n"
               "      /0000:01:00.0 BAR 0[0] (memory-region)\r\n"
               "    /rp0 (pcie-root-port)\r\n"
               "      /rp0 (PCIE)\r\n"
               "    /rp1 (pcie-root-port)\r\n"
               "      /rp1 (PCIE)\r\n"
               "  /peripheral-anon (container)\r\n"
               "    /device[0] (pcie-root-port)\r\n"
               "      /pcie.0 (PCIE)\r\n"
               "  /q35 (q35-pcihost)\r\n"
               "    /mch (mch)\r\n"
               "    /pcie.0 (PCIE)\r\n"
               "  /unattached (container)\r\n"
               "    /device[2] (ICH9-LPC)\r\n"
               "      /isa.0 (ISA)\r\n"
               "    /non-qdev-gpio[0] (irq)\r\n"},
        {"qom-get /machine/q35 parent_bus", "/machine/unattached/sysbus"},
        {"qom-get /machine/peripheral/rp0/rp0 acpi-pcihp-bsel", 1},
        {"qom-get /machine/peripheral/rp1/rp1 acpi-pcihp-bsel", 0},
        {"qom-get /machine/peripheral-anon/device[0]/pcie.0 acpi-pcihp-bsel", 2},
        {"qom-get /machine/peripheral-anon/device[0] parent_bus", "/machine/q35/pcie.0"},
        {"qom-get /machine/q35/pcie.0 hotplug-handler", ""},
        {"qom-get /machine/peripheral/rp0/rp0 hotplug-handler", "/machine/unattached/device[2]"},
        {"qom-get /machine/peripheral/rp1/rp1 hotplug-handler", "/machine/unattached/device[2]"},
        {"qom-get /machine/peripheral-anon/device[0]/pcie.0 hotplug-handler",
         "/machine/unattached/device[2]"},
        {"device-list-properties vfio-pci",
         json::array({{{"name", "host"}, {"type", "str"}}, {{"name", "x-vga"}, {"type", "bool"}}})},
    };
}

/// As query-pci shows a function.
json function(int bus, int slot, int number, const char* qdev_id) {
    return {{"bus", bus},
            {"slot", slot},
            {"function", number},
            {"class_info", {{"class", 512}}},
            {"id", {{"vendor", 32902}, {"device", 4307}}},
            {"irq_pin", 0},
            {"qdev_id", qdev_id},
            {"regions", json::array()}};
}

json range() {
    return {{"base", 0}, {"limit", 0}};
}

json bridge_with(json devices) {
    auto bridge = function(0, 1, 0, "rp0");
    bridge["pci_bridge"] = {{"bus",
                             {{"number", 0},
                              {"secondary", 1},
                              {"subordinate", 1},
                              {"io_range", range()},
                              {"memory_range", range()},
                              {"prefetchable_range", range()}}},
                            {"devices", std::move(devices)}};
    return json::array({{{"bus", 0}, {"devices", json::array({bridge})}}});
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
    known["qom-get /machine/peripheral/rp1/rp1 hotplug-handler"] = "";
    known["qom-get /machine/peripheral/rp1 hotplug"] = false;
    const auto facts = survey(known);
    CHECK_FALSE(facts.find_port("rp1")->is_free());
    CHECK(facts.find_port("rp1")->why_not == "it was started with hotplug=off");
}

TEST_CASE("a device is configured when its BARs have addresses") {
    auto known = q35();
    auto nic = function(1, 0, 0, "nic9");
    for (const json& unset : {json(-1), json(~std::uint64_t{0}), json(0xffffffffU)}) {
        nic["regions"] =
            json::array({{{"bar", 0}, {"type", "memory"}, {"size", 131072}, {"address", unset}}});
        known["query-pci"] = bridge_with(json::array({nic}));
        const auto facts = survey(known);
        CHECK_FALSE(facts.find_device("nic9")->configured);
        CHECK(facts.find_device("nic9")->address == guest_address{0, 1, 0, 0});
    }
    nic["regions"][0]["address"] = 4261412864;
    known["query-pci"] = bridge_with(json::array({nic}));
    CHECK(survey(known).find_device("nic9")->configured);
}

namespace {

// As QEMU 7.2 answered for -machine pc with a pci-bridge and an assigned device.
replies i440fx() {
    auto known = q35();
    known["qom-get /machine type"] = "pc-i440fx-7.2-machine";
    known[tree] = "/machine (pc-i440fx-7.2-machine)\n"
                  "  /i440fx (i440FX-pcihost)\n"
                  "    /pci.0 (PCI)\n"
                  "  /peripheral (container)\n"
                  "    /br1 (pci-bridge)\n"
                  "      /br1 (PCI)\n"
                  "    /nic9 (vfio-pci)\n"
                  "  /unattached (container)\n"
                  "    /device[18] (PIIX4_PM)\n";
    known["qom-get /machine/i440fx/pci.0 acpi-pcihp-bsel"] = 0;
    known["qom-get /machine/peripheral/br1/br1 acpi-pcihp-bsel"] = 1;
    known["qom-get /machine/i440fx/pci.0 hotplug-handler"] = "/machine/unattached/device[18]";
    known["qom-list /machine/peripheral"] =
        json::array({child("nic9", "vfio-pci"), child("br1", "pci-bridge")});
    known["qom-list /machine/peripheral-anon"] = json::array();
    known["qom-get /machine/peripheral/nic9 parent_bus"] = "/machine/i440fx/pci.0";
    known["qom-get /machine/peripheral/nic9 addr"] = 16;
    known["qom-get /machine/peripheral/br1 parent_bus"] = "/machine/i440fx/pci.0";
    known["qom-get /machine/peripheral/br1 addr"] = 24;
    known["qom-get /machine/peripheral/br1/br1 hotplug-handler"] = "/machine/unattached/device[18]";
    known["query-pci"] =
        json::array({{{"bus", 0},
                      {"devices", json::array({function(0, 0, 0, ""), function(0, 1, 3, ""),
                                               function(0, 1, 0, ""), function(0, 2, 0, "nic9"),
                                               function(0, 3, 0, "br1")})}}});
    return known;
}

/// More devices of a user on pci.0, at slots 4 and up.
void fill_root_bus(replies& known, int last) {
    for (int slot = 4; slot <= last; ++slot) {
        const auto name = "e" + std::to_string(slot);
        known["qom-list /machine/peripheral"].push_back(child(name.c_str(), "e1000"));
        known["qom-get /machine/peripheral/" + name + " parent_bus"] = "/machine/i440fx/pci.0";
        known["qom-get /machine/peripheral/" + name + " addr"] = slot * 8;
    }
}

} // namespace

TEST_CASE("the i440fx root bus takes many devices") {
    const auto facts = survey(i440fx());
    CHECK(facts.find_port("pci.0")->is_free());
    CHECK(facts.find_port("pci.0")->occupants == std::vector<std::string>{"nic9", "br1"});
    CHECK(facts.find_port("pci.0")->slot.empty());
    CHECK(facts.find_port("br1")->is_free());
    CHECK(facts.ports.front().bus == "pci.0");
}

TEST_CASE("a bus without a slot left is full") {
    auto known = i440fx();
    fill_root_bus(known, 30);
    CHECK(survey(known).find_port("pci.0")->is_free());
    fill_root_bus(known, 31);
    const auto facts = survey(known);
    CHECK(facts.find_port("pci.0")->full);
    CHECK_FALSE(facts.find_port("pci.0")->is_free());
}

TEST_CASE("the slot is named where QEMU's own choice would fail") {
    auto known = i440fx();
    // A bridge with a controller of its own has no slot 0.
    known["qom-get /machine/peripheral/br1/br1 hotplug-handler"] = "/machine/peripheral/br1";
    CHECK(survey(known).find_port("br1")->slot == "0x1");
    // Function 0 of a slot is free, another one of it is not.
    known["qom-get /machine/peripheral/nic9 addr"] = 17;
    CHECK(survey(known).find_port("pci.0")->slot == "0x4");
    known["qom-get /machine/peripheral/nic9 addr"] = "2.1";
    CHECK(survey(known).find_port("pci.0")->slot.empty());
}

TEST_CASE("a bus that nothing of QEMU's handles takes no hot-add") {
    auto known = i440fx();
    known["qom-get /machine/i440fx/pci.0 hotplug-handler"] = "";
    CHECK_FALSE(survey(known).find_port("pci.0")->is_free());
    known.erase("qom-get /machine/peripheral/br1/br1 hotplug-handler");
    CHECK_FALSE(survey(known).find_port("br1")->is_free());
}

TEST_CASE("a controller that names itself and does not serve a bus") {
    // As QEMU 10 answered for q35: ACPI's is the handler of the root bus too.
    auto known = q35();
    known["qom-get /machine/q35/pcie.0 hotplug-handler"] = "/machine/unattached/device[2]";
    CHECK_FALSE(survey(known).find_port("pcie.0")->takes_hot_add);
    CHECK(survey(known).find_port("rp1")->is_free());
    known["qom-get /machine/q35/pcie.0 acpi-pcihp-bsel"] = 0;
    CHECK_FALSE(survey(known).find_port("pcie.0")->takes_hot_add); // what is on it is not shown
    known["query-pci"] = json::array();
    CHECK(survey(known).find_port("pcie.0")->takes_hot_add);
    // A host bridge serves the buses below it (s390x).
    known.erase("qom-get /machine/peripheral/rp1/rp1 acpi-pcihp-bsel");
    CHECK_FALSE(survey(known).find_port("rp1")->takes_hot_add);
    known["qom-get /machine/peripheral/rp1/rp1 hotplug-handler"] = "/machine/q35";
    CHECK(survey(known).find_port("rp1")->is_free());
}

TEST_CASE("nothing is asked that makes QEMU load its modules") {
    guest_survey survey("10.0.0");
    for (const auto& query : survey.next())
        CHECK(query.command != "qom-list-types");
}

TEST_CASE("host bridges of other machines, also those that a user added") {
    auto known = i440fx();
    known["qom-get /machine type"] = "pseries-7.2-machine";
    known[tree] = "/machine (pseries-7.2-machine)\n"
                  "  /peripheral (container)\n"
                  "    /phb1 (spapr-pci-host-bridge)\n"
                  "      /phb1.0 (PCI)\n"
                  "  /unattached (container)\n"
                  "    /device[4] (spapr-pci-host-bridge)\n"
                  "      /pci.0 (PCI)\n";
    known["qom-get /machine/unattached/device[4]/pci.0 hotplug-handler"] =
        "/machine/unattached/device[4]";
    known["qom-list /machine/peripheral"] = json::array({child("phb1", "spapr-pci-host-bridge")});
    known["qom-get /machine/peripheral/phb1/phb1.0 hotplug-handler"] = "/machine/peripheral/phb1";
    const auto facts = survey(known);
    REQUIRE(facts.ports.size() == 2);
    CHECK(facts.ports[0].bus == "pci.0");
    CHECK(facts.find_port("phb1.0")->is_free());
    CHECK(facts.find_port("phb1.0")->slot.empty());
}

TEST_CASE("of two buses of one name QEMU finds the upper one, and only that is offered") {
    auto known = i440fx();
    auto text = known[tree].get<std::string>();
    known[tree] = text.replace(text.find("/br1 (PCI)"), 4, "/pci.0");
    known["qom-get /machine/peripheral/br1/pci.0 hotplug-handler"] =
        "/machine/unattached/device[18]";
    known["qom-get /machine/peripheral/br1/pci.0 acpi-pcihp-bsel"] = 1;
    const auto facts = survey(known);
    CHECK(facts.find_port("pci.0")->is_free());
    CHECK_FALSE(facts.find_port("/machine/peripheral/br1")->takes_hot_add);
}

TEST_CASE("an assigned device is known by the path that QEMU was given, too") {
    auto known = q35();
    known["qom-get /machine/peripheral/nic9 host"] = "";
    known["qom-get /machine/peripheral/nic9 sysfsdev"] = "/sys/bus/pci/devices/0000:01:00.0";
    CHECK(survey(known).find_device("nic9")->host == "0000:01:00.0");
    known["qom-get /machine/peripheral/nic9 sysfsdev"] = "/sys/class/net/eth1/device";
    CHECK(survey(known).find_device("nic9")->host == "/sys/class/net/eth1/device");
}

TEST_CASE("a guest's IOMMU, and whether QEMU adds assigned devices behind it") {
    auto known = q35();
    CHECK_FALSE(survey(known).iommu);
    const auto with = [&](const std::string& line) {
        auto text = known[tree].get<std::string>();
        const std::string first = "/unattached (container)\r\n";
        return text.insert(text.find(first) + first.size(), "    /" + line + "\r\n");
    };
    const auto without = known[tree];
    known[tree] = with("device[1] (intel-iommu)");
    CHECK_FALSE(survey(known).iommu->why_not.empty());
    known["qom-get /machine/unattached/device[1] caching-mode"] = false;
    CHECK(survey(known).iommu->why_not == "it was started without caching-mode=on");
    known["qom-get /machine/unattached/device[1] caching-mode"] = true;
    CHECK(survey(known).iommu->why_not.empty());
    CHECK_FALSE(survey(known).find_port("rp1")->bypasses_iommu);
    known["qom-get /machine/q35 bypass-iommu"] = true;
    CHECK(survey(known).find_port("rp1")->bypasses_iommu);
    known[tree] = without;
    known["qom-get /machine iommu"] = "none";
    CHECK_FALSE(survey(known).iommu);
    known["qom-get /machine iommu"] = "smmuv3";
    CHECK_FALSE(survey(known).iommu->why_not.empty());
    known[tree] = with("device[1] (virtio-iommu-pci)");
    known["qom-get /machine iommu"] = "none";
    CHECK(survey(known).iommu->why_not.empty());
}

TEST_CASE("a QEMU that knows no hot-plug handlers is judged by its types") {
    auto known = q35();
    for (auto& [key, value] : replies(known))
        if (key.ends_with("hotplug-handler") || key == tree) known.erase(key);
    const auto facts = survey(known, "1.7.2");
    CHECK(facts.find_port("rp1")->is_free());
    CHECK_FALSE(facts.find_port("pcie.0")->takes_hot_add);
    // One that could tell and does not is not guessed at.
    for (const auto& port : survey(known).ports)
        CHECK_FALSE(port.is_free());
}

TEST_CASE("a port that names itself and was started without hot-plug is not free") {
    // As QEMU answers where PCI Express itself does the hot-plug: Arm, CXL, q35 without ACPI's.
    auto known = q35();
    known["qom-get /machine/peripheral/rp1/rp1 hotplug-handler"] = "/machine/peripheral/rp1";
    CHECK(survey(known).find_port("rp1")->is_free());
    known["qom-get /machine/peripheral/rp1 hotplug"] = false;
    CHECK_FALSE(survey(known).find_port("rp1")->is_free());
    CHECK(survey(known).find_port("rp1")->why_not == "it was started with hotplug=off");
}

TEST_CASE("a guest with more than is looked at is told of, not cut") {
    auto known = q35();
    auto& listed = known["qom-list /machine/peripheral"];
    for (std::size_t i = 0; i < guest_survey::devices_max; ++i)
        listed.push_back(child(("d" + std::to_string(i)).c_str(), "virtserialport"));
    guest_survey asking("7.2.22");
    const auto batch = asking.next();
    for (std::size_t i = 0; i < batch.size(); ++i)
        if (batch[i].arguments.find("peripheral\"") != std::string::npos) asking.answer(i, &listed);
    REQUIRE(asking.failure());
    CHECK(asking.failure()->code == error_code::limit_exceeded);
}

TEST_CASE("sizes that a guest claims do not overflow") {
    auto known = q35();
    known["query-memory-size-summary"] = {{"base-memory", 9223372036854775807},
                                          {"plugged-memory", 9223372036854775807}};
    CHECK(survey(known).ram_bytes == 9223372036854775807U);
    CHECK(survey(known).locked_bytes() > survey(known).ram_bytes);
    known["query-memory-size-summary"] = {{"base-memory", -5}, {"plugged-memory", 7}};
    CHECK(survey(known).ram_bytes == 7);
}

TEST_CASE("replies of another form than documented count as missing") {
    for (const json& odd : {json(nullptr), json(1), json("x"), json::array({1, nullptr, "x"}),
                            json{{"devices", 1}, {"name", 2}, {"status", json::array()}}}) {
        auto known = q35();
        for (auto& [key, value] : known)
            value = odd;
        known["query-pci"] = odd;
        const auto facts = survey(known, "7.2.22", believed::no);
        CHECK(facts.find_device("nic9") == nullptr);
    }
    CHECK(survey({}).devices.empty());
}
