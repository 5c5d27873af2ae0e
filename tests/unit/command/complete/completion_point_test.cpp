#include "command/complete/completion_point.hpp"

#include <doctest/doctest.h>

using namespace vmplug;
using target = completion_point::target;

namespace {

completion_point at(std::vector<std::string> words) {
    return find_completion_point(words);
}

} // namespace

TEST_CASE("first comes a verb") {
    CHECK(at({}).expects == target::verb_name);
    CHECK(at({"at"}).expects == target::verb_name);
    CHECK(at({"--json", ""}).expects == target::verb_name);
    CHECK(at({"--state-dir", "/x", ""}).expects == target::verb_name);
    CHECK(at({"atach", ""}).expects == target::nothing);
}

TEST_CASE("arguments come in the order of the table, options in between") {
    CHECK(at({"attach", ""}).kind == value_kind::vm);
    CHECK(at({"attach", "web", "01:"}).kind == value_kind::device);
    CHECK(at({"attach", "--id", "nic0", "web", ""}).kind == value_kind::device);
    CHECK(at({"attach", "--force", "--id=nic0", "web", ""}).kind == value_kind::device);
    CHECK(at({"detach", "web", ""}).kind == value_kind::assigned_id);
    CHECK(at({"explain", ""}).kind == value_kind::error_code);
    CHECK(at({"qmp", "web", "query-status", "a=b", ""}).expects == target::value);
    CHECK(at({"attach", "web", "x", ""}).expects == target::option_name);
    CHECK(at({"attach", "web", "x", "y"}).expects == target::nothing);
}

TEST_CASE("an option's value, behind it or in one word with it") {
    CHECK(at({"attach", "web", "--port", ""}).kind == value_kind::port);
    CHECK(at({"attach", "web", "--port", ""}).given.first("VM") == "web");
    const auto joined = at({"attach", "--port=rp"});
    CHECK(joined.kind == value_kind::port);
    CHECK(joined.before == "--port=");
    CHECK(joined.word == "rp");
    CHECK(at({"attach", "--driver", "v"}).choices == std::string("auto|vfio-pci|pci-assign"));
    CHECK(at({"attach", "--force=x"}).expects == target::nothing);
    CHECK(at({"attach", "--nothing=x"}).expects == target::nothing);
    CHECK(at({"list", "--state-dir", "/x", ""}).given.first("--state-dir") == "/x");
}

TEST_CASE("an option is offered once, unless it may be repeated") {
    const auto point = at({"attach", "--force", "--set", "a=b", "-"});
    CHECK(point.expects == target::option_name);
    for (const auto& option : find_verb("attach")->options)
        CHECK(point.takes(option) == (std::string(option.name) != "--force"));
}
