#include <vmplug/host_facts.hpp>

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("nothing names no guest, also where one has no name") {
    host_facts host;
    host.qemus.resize(1);
    host.qemus.front().identity.pid = 42;
    for (const auto* text : {"", " ", "0", "-1"}) {
        CAPTURE(text);
        const auto found = find_vm(host, text);
        REQUIRE(found.has_error());
        CHECK(found.error().code == error_code::vm_not_found);
    }
    CHECK(find_vm(host, "42").value() == &host.qemus.front());
}
