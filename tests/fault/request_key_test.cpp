// What a caller's key stands for. The engine is the real one.

#include "fault/bench.hpp"

using namespace vmplug;
using namespace vmplug::testing;

namespace {

attach_request usual_request() {
    attach_request request;
    request.id = "nic0";
    request.with_group = true;
    request.wait_guest = std::chrono::milliseconds(1);
    return request;
}

/// Asks for `request` under the key that the first attach had.
void ask_again(bench& on, const attach_request& request, const std::string& device = left) {
    REQUIRE(on.run([&](use_case& running) { return running.attach("web", device, request); }));
}

bool is_refused_as_another(const bench& on) {
    return on.report.ended() == outcome::refused && on.report.refusals().size() == 1 &&
           on.report.refusals().front().code == error_code::invalid_argument;
}

} // namespace

TEST_CASE("a key that is asked for again with another option is refused, whichever it is") {
    void (*const changes[])(attach_request&) = {
        [](attach_request& each) { each.port = "rp1"; },
        [](attach_request& each) { each.driver = assignment_driver::vfio_pci; },
        [](attach_request& each) { each.driver = assignment_driver::pci_assign; },
        [](attach_request& each) {
            each.properties = {{"x-no-mmap", "on"}};
        },
        [](attach_request& each) { each.with_group = false; },
        [](attach_request& each) { each.id = "nic1"; },
    };
    bench on;
    on.options.request_id = "key";
    ask_again(on, usual_request());
    REQUIRE(on.report.ended() == outcome::done);
    const int changed = on.world.faults.changes();
    int number = 0;
    for (const auto change : changes) {
        CAPTURE(number++);
        auto other = usual_request();
        change(other);
        ask_again(on, other);
        CHECK(is_refused_as_another(on));
    }
    ask_again(on, usual_request(), right);
    CHECK(is_refused_as_another(on));
    ask_again(on, usual_request());
    CHECK(on.report.is_repeated());
    CHECK(on.report.ended() == outcome::done);
    CHECK(on.world.faults.changes() == changed);
}

TEST_CASE("a key of a detach that keeps the driver is not that of one that gives it back") {
    bench on;
    attach_first(on);
    on.options.request_id = "key";
    REQUIRE(on.run(detach_and_keep));
    REQUIRE(on.report.ended() == outcome::done);
    REQUIRE(on.run(detach));
    CHECK(is_refused_as_another(on));
    REQUIRE(on.run(detach_and_keep));
    CHECK(on.report.is_repeated());
    CHECK(on.world.devices.at(left).driver == "vfio-pci");
}

TEST_CASE("a key does not stand for an attach and for a detach") {
    bench on;
    on.options.request_id = "key";
    REQUIRE(on.run(attach));
    REQUIRE(on.report.ended() == outcome::done);
    REQUIRE(on.run(detach));
    CHECK(is_refused_as_another(on));
    CHECK(on.world.is_in_guest(left));
}

TEST_CASE("the key of a detach that waits goes on with it, and says that it is the same") {
    bench on;
    attach_first(on);
    on.world.set_paused(on.world.guests["web"], true);
    on.options.request_id = "key";
    REQUIRE(on.run(detach));
    REQUIRE(on.report.ended() == outcome::unplug_pending);
    REQUIRE(on.run(detach));
    CHECK(on.report.ended() == outcome::unplug_pending);
    on.world.set_paused(on.world.guests["web"], false);
    // Another key for the same is noted, and stands for it from then on.
    on.options.request_id = "another key";
    REQUIRE(on.run(detach));
    CHECK(on.report.ended() == outcome::done);
    const auto number = on.last.number;
    REQUIRE(on.run(detach));
    CHECK(on.report.is_repeated());
    CHECK(on.last.number == number);
    on.options.request_id = "key";
    REQUIRE(on.run(detach));
    CHECK(on.report.is_repeated());
    CHECK(on.last.number == number);
}
