#include "command/typing/qmp_typing.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace vmplug;
using nlohmann::json;

namespace {

// The form of query-qmp-schema: types are named by numbers.
const char* const reply = R"([
    {"name": "set_link", "meta-type": "command", "arg-type": "1", "ret-type": "0"},
    {"name": "0", "meta-type": "object", "members": []},
    {"name": "1", "meta-type": "object", "members": [
        {"name": "name", "type": "str"}, {"name": "up", "type": "bool"},
        {"name": "speed", "type": "int", "default": null},
        {"name": "mode", "type": "2", "default": null},
        {"name": "server", "type": "3", "default": null}]},
    {"name": "2", "meta-type": "enum", "values": ["read-only", "read-write"]},
    {"name": "3", "meta-type": "object", "members": [{"name": "port", "type": "int"}]},
    {"name": "str", "meta-type": "builtin", "json-type": "string"},
    {"name": "int", "meta-type": "builtin", "json-type": "int"},
    {"name": "bool", "meta-type": "builtin", "json-type": "boolean"},
    {"name": "RESUME", "meta-type": "event", "arg-type": "0"}])";

qmp_schema read(const char* text) {
    return qmp_schema(qapi::query_qmp_schema::parse(json::parse(text)).value());
}

} // namespace

TEST_CASE("commands and their members") {
    const auto schema = read(reply);
    CHECK(schema.commands() == std::vector<std::string>{"set_link"});
    CHECK(!schema.has_command("RESUME"));
    CHECK(schema.members("set_link").size() == 5);
    CHECK(schema.members("set_link", "server").at(0).name == "port");
    CHECK(schema.members("set_link", "server.port.x").empty());
    CHECK(schema.members("nothing").empty());
    CHECK(schema.describe("set_link").find("mode=enum  (optional)  read-only|read-write") !=
          std::string::npos);
}

TEST_CASE("values get the type that the command wants") {
    const auto schema = read(reply);
    const auto typed = [&](const char* key, const char* text) {
        return schema.type_value("set_link", key, text);
    };
    CHECK(*typed("name", "7") == json("7"));
    CHECK(*typed("up", "on") == json(true));
    CHECK(*typed("speed", "7") == json(7));
    CHECK(*typed("server.port", "22") == json(22));
    CHECK(*typed("mode", "read-only") == json("read-only"));
    CHECK(typed("mode", "never").error().text.find("read-write") != std::string::npos);
    CHECK(typed("up", "perhaps").error().code == error_code::property_unknown);
    CHECK(typed("speed", "fast").has_error());
    CHECK(*typed("unknown", "[1]") == json::parse("[1]"));
}

TEST_CASE("a union's branch is chosen by what else was written") {
    const auto schema = read(R"([
        {"name": "netdev_add", "meta-type": "command", "arg-type": "1"},
        {"name": "1", "meta-type": "object", "tag": "type",
         "members": [{"name": "type", "type": "2"}, {"name": "id", "type": "str"},
                     {"name": "peer", "type": "4", "default": null}],
         "variants": [{"case": "user", "type": "3"}, {"case": "none", "type": "0"}]},
        {"name": "0", "meta-type": "object", "members": []},
        {"name": "2", "meta-type": "enum", "values": ["user", "none"]},
        {"name": "3", "meta-type": "object", "members": [
            {"name": "ipv4", "type": "bool"}, {"name": "hostname", "type": "str"}]},
        {"name": "4", "meta-type": "object", "tag": "kind",
         "members": [{"name": "kind", "type": "str"}],
         "variants": [{"case": "far", "type": "3"}]},
        {"name": "str", "meta-type": "builtin", "json-type": "string"},
        {"name": "bool", "meta-type": "builtin", "json-type": "boolean"}])");
    const qmp_schema::given_arguments given{{"type", "user"}, {"peer.kind", "far"}};
    CHECK(*schema.type_value("netdev_add", "id", "7", given) == json("7"));
    CHECK(*schema.type_value("netdev_add", "hostname", "7", given) == json("7"));
    CHECK(*schema.type_value("netdev_add", "ipv4", "on", given) == json(true));
    CHECK(*schema.type_value("netdev_add", "peer.hostname", "7", given) == json("7"));
    CHECK(*schema.type_value("netdev_add", "hostname", "7", {{"type", "none"}}) == json(7));
}

TEST_CASE("an id is a string, whatever is known") {
    CHECK(*qmp_schema().type_value("device_del", "id", "7") == json("7"));
    CHECK(*qmp_schema().type_value("set_speed", "value", "7") == json(7));
}

TEST_CASE("a damaged or recursive schema does no harm") {
    CHECK(read(R"([1, {}, {"name": 7}])").empty());
    const auto ring = read(R"([
        {"name": "c", "meta-type": "command", "arg-type": "a"},
        {"name": "a", "meta-type": "object", "members": [{"name": "a", "type": "a"}]}])");
    CHECK(ring.members("c", "a.a.a.a").size() == 1);
    const auto arrays = read(R"([
        {"name": "c", "meta-type": "command", "arg-type": "o"},
        {"name": "o", "meta-type": "object", "members": [{"name": "x", "type": "l"}]},
        {"name": "l", "meta-type": "array", "element-type": "l"}])");
    CHECK(arrays.members("c").size() == 1);
}

TEST_CASE("a QEMU without a schema has an empty one, what cannot be asked is no answer") {
    using answer = result<std::vector<qapi::schema_entity>>;
    const auto made = [](error_code code) {
        return make_schema(answer(error{code, "query-qmp-schema", "CommandNotFound: no", {}}));
    };
    REQUIRE(made(error_code::command_failed).has_value());
    CHECK(made(error_code::command_failed)->empty());
    for (const auto code : {error_code::timed_out, error_code::protocol_violation})
        CHECK(made(code).error().code == code);
}

TEST_CASE("a model is what QEMU lists of it") {
    const auto model = make_device_model("e1000e", {{"mac", "str"}, {"multi", "bool", "false"}});
    CHECK(model.type == "e1000e");
    REQUIRE(model.properties.size() == 2);
    CHECK(model.properties[0].default_value.empty());
    CHECK(model.find("multi")->default_value == "false");
}
