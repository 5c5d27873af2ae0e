#include "qapi/control.hpp"
#include "qapi/introspect.hpp"
#include "qapi/machine.hpp"
#include "qapi/pci.hpp"
#include "qapi/qdev.hpp"
#include "qapi/write_json.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace vmplug;
using nlohmann::json;

namespace {

const std::vector<json> odd{json(),
                            json(1),
                            json(1.5),
                            json("x"),
                            json(true),
                            json::array(),
                            json::object(),
                            json::array({1}),
                            json{{"name", 2}, {"status", json::array()}, {"running", "yes"}}};

/// Answers of any form at all: read, or refused in a way that says so.
template <class Command>
void read_odd() {
    for (const auto& answer : odd) {
        INFO(Command::name, " ", answer.dump());
        const auto parsed = Command::parse(answer);
        if (parsed.has_error()) {
            CHECK(parsed.error().code == error_code::protocol_violation);
            CHECK(parsed.error().where == Command::name);
        }
    }
}

template <class Command>
void refuse_long() {
    const auto parsed =
        Command::parse(json::array_t(qapi::entries_max + 1, json{{"name", "x"}, {"type", "y"}}));
    REQUIRE(parsed.has_error());
    CHECK(parsed.error().code == error_code::limit_exceeded);
}

json function(int slot) {
    return {{"bus", 0}, {"slot", slot}, {"function", 0}};
}

} // namespace

TEST_CASE("arguments are as short as JSON can be, and what must be escaped is") {
    CHECK(qapi::device_del{"nic9"}.encode() == R"({"id":"nic9"})");
    CHECK(qapi::qom_list{"/machine"}.encode() == R"({"path":"/machine"})");
    CHECK(qapi::qom_get{"/machine", "type"}.encode() == R"({"path":"/machine","property":"type"})");
    CHECK(qapi::query_pci{}.encode().empty());
    CHECK(qapi::human_monitor_command{"x \"y\"\n"}.encode() ==
          R"({"command-line":"x \"y\"\u000a"})");
    const qapi::device_add add{
        "vfio-pci", "nic9", "rp0", "01:00.0", {{"addr", R"("0x0")"}, {"x", "7"}}};
    CHECK(add.encode() ==
          R"({"driver":"vfio-pci","host":"01:00.0","id":"nic9","bus":"rp0","addr":"0x0","x":7})");
    CHECK(qapi::device_add{"e1000e", {}, {}, {}, {}}.encode() == R"({"driver":"e1000e"})");
    CHECK(qapi::make_request(qapi::device_del{"a"}).command == "device_del");
    CHECK(json::parse(qapi::quote_json(std::string("\0\x1f\x7f\\\"/", 6))) ==
          json(std::string("\0\x1f\x7f\\\"/", 6)));
}

TEST_CASE("an answer of another form is a violation, never an exception") {
    read_odd<qapi::query_name>();
    read_odd<qapi::query_status>();
    read_odd<qapi::query_migrate>();
    read_odd<qapi::query_memory_size_summary>();
    read_odd<qapi::query_pci>();
    read_odd<qapi::query_commands>();
    read_odd<qapi::query_qmp_schema>();
    read_odd<qapi::qom_list>();
    read_odd<qapi::qom_get>();
    read_odd<qapi::device_list_properties>();
    read_odd<qapi::human_monitor_command>();
    CHECK(qapi::query_status::parse({{"running", 1}, {"status", "running"}}).has_error());
    CHECK(qapi::query_name::parse({{"name", 2}}).has_error());
    CHECK(qapi::query_pci::parse(json::object()).has_error());
    CHECK(qapi::human_monitor_command::parse(1).has_error());
    refuse_long<qapi::qom_list>();
    refuse_long<qapi::device_list_properties>();
    refuse_long<qapi::query_commands>();
    refuse_long<qapi::query_pci>();
    refuse_long<qapi::query_qmp_schema>();
}

TEST_CASE("an entry of another form is left out of its list") {
    const auto listed = qapi::qom_list::parse(
        json::array({1,
                     {{"name", 1}, {"type", "x"}},
                     {{"name", "a"}},
                     {{"name", ""}, {"type", ""}},
                     {{"name", "b"}, {"type", "child<e1000>"}, {"default-value", {1}}}}));
    REQUIRE(listed.has_value());
    REQUIRE(listed->size() == 1);
    CHECK((*listed)[0] == qapi::object_property{"b", "child<e1000>", "[1]"});
    CHECK((*listed)[0].child_type() == "e1000");
    for (const char* type : {"", "child<", "child<>", "link<bus>", "child"})
        CHECK(qapi::object_property{"a", type}.child_type().empty());
}

TEST_CASE("a value of QOM is what it is, and nothing where vmplug reads none of its type") {
    const auto value = [](const json& answer) { return qapi::qom_get::parse(answer).value(); };
    CHECK(value(false) == qapi::qom_value(false));
    CHECK(value(-7) == qapi::qom_value(std::int64_t{-7}));
    CHECK(value("") == qapi::qom_value(std::string()));
    for (const json& other : {json(1.5), json(), json::array(), json(18446744073709551615U)})
        CHECK(value(other) == qapi::qom_value());
}

TEST_CASE("sizes below nothing are nothing") {
    const auto size = [](const json& answer) {
        return qapi::query_memory_size_summary::parse(answer).value();
    };
    CHECK(size({{"base-memory", 7}}) == qapi::memory_size{7, 0});
    CHECK(size({{"base-memory", -7}, {"plugged-memory", -1}}) == qapi::memory_size{0, 0});
    CHECK(qapi::query_memory_size_summary::parse({{"plugged-memory", 1}}).has_error());
}

TEST_CASE("functions with numbers that PCI does not have are left out") {
    auto list = json::array({function(0), function(31), function(32), function(-1), 7});
    list.push_back({{"bus", 256}, {"slot", 0}, {"function", 0}});
    list.push_back({{"bus", 0}, {"slot", 0}, {"function", 8}});
    list.push_back({{"bus", 0}, {"slot", "1"}, {"function", 0}});
    const auto roots = qapi::query_pci::parse(json::array({{{"bus", 0}, {"devices", list}}}));
    REQUIRE(roots.has_value());
    REQUIRE(roots->size() == 1);
    REQUIRE(roots->at(0).functions.size() == 2);
    CHECK(roots->at(0).functions[1].slot == 31);
}

TEST_CASE("a BAR has an address, or QEMU's -1 in either form") {
    auto nic = function(1);
    nic["qdev_id"] = "nic9";
    nic["regions"] = json::array(
        {{{"address", -1}}, {{"address", 0xfe000000U}}, {{"bar", 0}}, 1, {{"address", "0"}}});
    const auto roots = qapi::query_pci::parse(json::array({{{"devices", json::array({nic})}}}));
    REQUIRE(roots.has_value());
    const auto& regions = roots->at(0).functions.at(0).regions;
    REQUIRE(regions.size() == 5);
    CHECK(regions[1].address == 0xfe000000U);
    for (const std::size_t i : {0U, 2U, 3U, 4U})
        CHECK_FALSE(regions[i].address.has_value());
}

TEST_CASE("bridges behind bridges end somewhere") {
    auto deep = function(0);
    for (int i = 0; i < 200; ++i) {
        auto bridge = function(0);
        bridge["pci_bridge"] = {{"devices", json::array({deep})}};
        deep = std::move(bridge);
    }
    const auto roots = qapi::query_pci::parse(json::array({{{"devices", json::array({deep})}}}));
    REQUIRE(roots.has_value());
    std::size_t levels = 0;
    for (const auto* each = &roots->at(0).functions; !each->empty(); each = &each->at(0).behind)
        ++levels;
    CHECK(levels == qapi::query_pci::bridges_max + 1);
    const auto many = json::array_t(qapi::entries_max + 1, function(0));
    const auto refused = qapi::query_pci::parse(json::array({{{"devices", many}}}));
    REQUIRE(refused.has_error());
    CHECK(refused.error().code == error_code::limit_exceeded);
}

TEST_CASE("a schema is bounded with all that it holds") {
    const auto refused = [](const json& entity) {
        const auto parsed = qapi::query_qmp_schema::parse(json::array({entity}));
        return parsed.has_error() && parsed.error().code == error_code::limit_exceeded;
    };
    json entity{{"name", "x"}, {"meta-type", "object"}};
    CHECK_FALSE(refused(entity));
    for (const char* key : {"members", "variants", "values"}) {
        CAPTURE(key);
        auto long_one = entity;
        long_one[key] = json::array_t(qapi::entries_max - 1, 1);
        CHECK_FALSE(refused(long_one));
        long_one[key].push_back(1);
        CHECK(refused(long_one));
    }
}

TEST_CASE("an entity of a schema holds what is of the form that QEMU documents") {
    const auto parsed = qapi::query_qmp_schema::parse(json::parse(R"([
        {"name": "0", "meta-type": "object", "tag": "kind", "members": [
            {"name": "kind", "type": "1"}, {"name": "more", "type": "[str]", "default": null},
            {"name": "typeless"}, {"type": "str"}, 7],
         "variants": [{"case": "a", "type": "2"}, {"case": "b"}, {"type": "2"}, []]},
        {"name": "1", "meta-type": "enum", "values": ["a", 7, "b"], "members": [{"name": "a"}]},
        {"name": "", "meta-type": "object"}, {"name": "2"}, {"meta-type": "object"},
        {"name": "[str]", "meta-type": "array", "element-type": "str"},
        {"name": "str", "meta-type": "builtin", "json-type": "string"},
        {"name": "add", "meta-type": "command", "arg-type": "0", "ret-type": "2"}])"));
    REQUIRE(parsed.has_value());
    std::vector<qapi::schema_entity> wanted{
        {"0", "object"}, {"1", "enum"}, {"[str]", "array"}, {"str", "builtin"}, {"add", "command"}};
    wanted[0].tag = "kind";
    wanted[0].members = {{"kind", "1", false}, {"more", "[str]", true}, {"", "str", false}};
    wanted[0].variants = {{"a", "2"}};
    wanted[1].values = {"a", "b"};
    wanted[2].element_type = "str";
    wanted[3].json_type = "string";
    wanted[4].argument_type = "0";
    CHECK(*parsed == wanted);
}
