#include "command/table/read_object.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <set>

using namespace vmplug;
using namespace std::chrono_literals;

namespace {

using nlohmann::json;

result<invocation> read(const char* verb_name, const char* text) {
    return read_object(*find_verb(verb_name), json::parse(text));
}

error fault(const char* verb_name, const char* text) {
    const auto parsed = read(verb_name, text);
    CAPTURE(text);
    REQUIRE(parsed.has_error());
    CHECK(parsed.error().code == error_code::invalid_argument);
    return parsed.error();
}

} // namespace

TEST_CASE("an object asks what a line asks") {
    const auto asked =
        read("attach", R"({"vm": 4711, "device": "01:00.0", "dry_run": true, "force": false,
        "timeout": "5s", "driver": "auto", "set": {"romfile": "", "rombar": 0}, "id": null})")
            .value();
    CHECK(asked.text("VM") == "4711");
    CHECK(asked.text("DEVICE") == "01:00.0");
    CHECK(asked.has("--dry-run"));
    CHECK_FALSE(asked.has("--force"));
    CHECK_FALSE(asked.has("--id"));
    CHECK(asked.duration("--timeout") == 5s);
    CHECK(asked.properties("--set") ==
          std::map<std::string, std::string>{{"romfile", ""}, {"rombar", "0"}});
    CHECK(read("attach", R"({"vm": "w", "device": "x", "set": ["a=1", "b=2"]})")
              .value()
              .properties("--set")
              .size() == 2);
    CHECK(read("operations", R"({"limit": 3})").value().number("--limit") == 3);
    const auto qmp = read("qmp", R"({"vm": "w", "command": "x", "arguments": ["a=1", "b=[2]"]})");
    CHECK(qmp.value().texts("KEY=VALUE") == std::vector<std::string>{"a=1", "b=[2]"});
}

TEST_CASE("the faults are those of a line, by the names of the object") {
    struct wrong_object {
        const char* verb_name;
        const char* text;
        std::string where;
        std::string what;
    };
    for (const auto& [name, text, where, what] : {
             wrong_object{"attach", R"({"vm": "w"})", "device", "it is missing"},
             wrong_object{"attach", R"({"vm": "", "device": "x"})", "vm", "it is empty"},
             wrong_object{"attach", R"({"vm": "w", "device": "x", "timeout": "soon"})",
                          "timeout soon", "this is not a duration"},
             wrong_object{"attach", R"({"vm": "w", "device": "x", "timeout": 5})", "timeout 5",
                          "this is not a duration"},
             wrong_object{"attach", R"({"vm": "w", "device": ["x", "y"]})", "device",
                          "it is given twice"},
             wrong_object{"attach", R"({"vm": "w", "device": {}})", "device",
                          "it is neither a text nor a whole number"},
             wrong_object{"attach", R"({"vm": "w", "device": "x", "force": "yes"})", "force",
                          "it is no boolean"},
             wrong_object{"attach", R"({"vm": "w", "device": "x", "dryrun": true})", "dryrun",
                          "there is no such field; did you mean 'dry_run'?"},
             wrong_object{"attach", R"({"vm": "w", "device": "x", "with_group": 1})", "with_group",
                          "it is no boolean"},
             wrong_object{"vms", R"({"json": true})", "json", "there is no such field"},
             wrong_object{"vms", "[]", "vms", "this is no JSON object"},
             wrong_object{"operations", R"({"op": 1.5})", "op",
                          "it is neither a text nor a whole number"},
         }) {
        const auto found = fault(name, text);
        CHECK(found.where == where);
        CHECK(found.text == what);
        CHECK(found.remedy.find("vmplug") == std::string::npos);
    }
}

TEST_CASE("every field has a name of its own, which is one word") {
    for (const auto& row : verbs()) {
        CAPTURE(row.name);
        std::set<std::string> names;
        for (const auto& each : row.arguments)
            CHECK(names.insert(field_name(each)).second);
        for (const auto& each : row.options)
            CHECK(names.insert(field_name(each)).second);
        for (const auto& name : names)
            CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == name.npos);
    }
}
