#include "command/table/line_reader.hpp"

#include <doctest/doctest.h>

using namespace vmplug;
using namespace std::chrono_literals;

namespace {

using words = std::vector<std::string>;

invocation asked(const words& line) {
    auto parsed = parse_line(read_line(line));
    CAPTURE(line);
    REQUIRE(parsed.has_value());
    return *parsed;
}

error fault(const words& line) {
    const auto parsed = parse_line(read_line(line));
    CAPTURE(line);
    REQUIRE(parsed.has_error());
    CHECK(parsed.error().code == error_code::invalid_argument);
    CHECK(parsed.error().remedy.find("--help` shows what is allowed") != std::string::npos);
    return parsed.error();
}

} // namespace

TEST_CASE("options stand anywhere, their values behind them or in one word with them") {
    for (const auto& line :
         {words{"attach", "web", "01:00.0", "--id", "nic0", "--force"},
          words{"attach", "--id=nic0", "web", "--force", "01:00.0"},
          words{"--json", "attach", "--force", "--id", "nic0", "web", "01:00.0"}}) {
        const auto given = asked(line);
        CHECK(given.text("VM") == "web");
        CHECK(given.text("DEVICE") == "01:00.0");
        CHECK(given.text("--id") == "nic0");
        CHECK(given.has("--force"));
        CHECK_FALSE(given.has("--dry-run"));
        CHECK(given.has("--json") == (line.front() == "--json"));
    }
    CHECK(asked({"-v", "vms"}).has("--verbose"));
    CHECK(asked({"vms", "-vv"}).has("--verbose"));
    CHECK(asked({"repl", "-c", "vms"}).text("-c") == "vms");
    CHECK(asked({"repl", "-cvms"}).text("-c") == "vms");
}

TEST_CASE(
    "an option's value is the next word, whatever it looks like; behind -- none is an option") {
    CHECK(asked({"attach", "web", "x", "--id", "--force"}).text("--id") == "--force");
    CHECK(asked({"hmp", "web", "--", "p", "--x"}).texts("LINE") == words{"p", "--x"});
    CHECK(asked({"hmp", "web", "p", "-1"}).texts("LINE") == words{"p", "-1"});
    CHECK(asked({"qmp", "web", "x", "a=[1, 2]", "b="}).texts("KEY=VALUE") ==
          words{"a=[1, 2]", "b="});
}

TEST_CASE("values are read once, by their kind") {
    const auto given = asked({"attach", "web", "x", "--timeout", "2m", "--set", "a=1", "--set",
                              "b=", "--driver", "vfio-pci"});
    CHECK(given.duration("--timeout") == 2min);
    CHECK(given.duration("--wait-guest") == std::nullopt);
    CHECK(given.properties("--set") == std::map<std::string, std::string>{{"a", "1"}, {"b", ""}});
    CHECK(given.text("--driver") == "vfio-pci");
    CHECK(asked({"operations", "17"}).number("OP") == 17);
    CHECK(asked({"cmdline", "--new", "x", "--ports", "0"}).number("--ports") == 0);
}

TEST_CASE("what is wrong is named") {
    struct wrong_line {
        words line;
        std::string where;
        std::string text;
    };
    for (const auto& [line, where, text] : {
             wrong_line{{"attach", "web", "x", "--timeout", "soon"},
                        "--timeout soon",
                        "this is not a duration"},
             wrong_line{{"attach", "web", "x", "--driver=none"},
                        "--driver none",
                        "there is no such driver"},
             wrong_line{
                 {"attach", "web", "x", "--binding", "y"}, "--binding y", "there is no such way"},
             wrong_line{{"cmdline", "x", "--machine", "y"}, "--machine y", "there is no such type"},
             wrong_line{{"attach", "web", "x", "--set", "y"}, "--set y", "this is not PROP=VALUE"},
             wrong_line{{"operations", "x"}, "OP x", "this is no such number"},
             wrong_line{{"operations", "0"}, "OP 0", "this is no such number"},
             wrong_line{{"cmdline", "x", "--ports", "33"}, "--ports 33", "this is no such number"},
             wrong_line{{"attach", "web"}, "DEVICE", "it is missing"},
             wrong_line{{"attach", "web", "x", "--id"}, "--id", "it has no value"},
             wrong_line{{"attach", "web", "x", "--id="}, "--id", "it is empty"},
             wrong_line{{"attach", "web", "x", "--id", "a", "--id=b"}, "--id", "it is given twice"},
             wrong_line{{"attach", "web", "x", "--force=yes"}, "--force", "it takes no value"},
             wrong_line{{"attach", "web", "x", "y"}, "y", "attach takes no further argument"},
             wrong_line{{"attach", "web", "x", "--froce"},
                        "--froce",
                        "there is no such option; did you mean '--force'?"},
             wrong_line{{"--force", "attach", "web", "x"}, "--force", "there is no such option"},
             wrong_line{{"vms", "-x"}, "-x", "there is no such option"},
             wrong_line{{"list", "-v1"}, "-1", "there is no such option"},
             wrong_line{{"vms", "-v-"}, "--", "there is no such option"},
             wrong_line{{"atach"}, "", "there is no verb 'atach'; did you mean 'attach'?"},
             wrong_line{{"--json"}, "", "a verb is missing"},
         }) {
        const auto found = fault(line);
        CHECK(found.where == where);
        CHECK(found.text == text);
    }
    CHECK(fault({"attach", "web", "x", "--driver=none"}).remedy ==
          "write auto, vfio-pci or pci-assign; `vmplug attach --help` shows what is allowed");
    CHECK(fault({"cmdline", "x", "--ports", "33"})
              .remedy.starts_with("write a whole number, 0 to 32;"));
}

TEST_CASE("reading goes on behind a fault, so that it is told as it was asked for") {
    for (const auto& line : {words{"atach", "x", "--json"}, words{"vms", "--nothing", "--json"},
                             words{"attach", "--json", "--id"}})
        CHECK(read_line(line).values.has("--json"));
    CHECK_FALSE(read_line(words{"attach", "--id", "--json"}).values.has("--json"));
    CHECK(read_line(words{"attach", "--help"}).asks_help);
    CHECK(read_line(words{"attach", "-vh"}).asks_help);
}
