#include "repl/verb_words.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

namespace {

using words = std::vector<std::string>;

std::string guest_of(const words& line, const std::string& in_use) {
    return read_with_guest(line, in_use).values.first("VM");
}

} // namespace

TEST_CASE("the guest in use stands where the verb wants one and one word more than was written") {
    CHECK(guest_of({"attach", "01:00.0"}, "web") == "web");
    CHECK(guest_of({"attach", "01:00.0", "--id", "nic0", "--set=a=b"}, "web") == "web");
    CHECK(guest_of({"attach", "-v", "--json", "01:00.0"}, "web") == "web");
    CHECK(guest_of({"attach", "db", "01:00.0"}, "web") == "db");
    CHECK(guest_of({"attach", "01:00.0"}, "") == "01:00.0");
    CHECK(guest_of({"ports"}, "web") == "web");
    CHECK(guest_of({"list"}, "web") == "");
    CHECK(guest_of({"ports"}, "--force") == "--force");
}
