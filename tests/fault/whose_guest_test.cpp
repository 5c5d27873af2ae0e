// Whose guest it is, and what its process can reach: seen before anything is touched. The engine is
// the real one.

#include "fault/bench.hpp"

#include <boost/asio/detached.hpp>

using namespace vmplug;
using namespace vmplug::testing;

namespace {

const std::string by_address = "qmp:/run/web";

awaitable<operation_report> attach_to(use_case& running, std::string guest, bool force = false,
                                      std::optional<std::uint32_t> uid = {}) {
    attach_request request;
    request.id = "nic0";
    request.with_group = true;
    request.force = force;
    request.uid = uid;
    request.wait_guest = std::chrono::milliseconds(1);
    co_return co_await running.attach(std::move(guest), left, request);
}

bool refuses(const bench& on, error_code why) {
    return on.report.ended() == outcome::refused && !on.report.refusals().empty() &&
           on.report.refusals().front().code == why && on.world.faults.changes() == 0;
}

} // namespace

TEST_CASE("a guest that is named by its monitor is the process that answers there") {
    bench on;
    REQUIRE(on.run([](use_case& running) { return attach_to(running, by_address); }));
    REQUIRE(on.report.ended() == outcome::done);
    CHECK(guest_process(on.last) == on.world.guests["web"].identity);
    CHECK(field(on.last.subject, "guest") == "web");
    // It is one guest, whatever it is called.
    REQUIRE(on.run(detach));
    CHECK(on.report.ended() == outcome::done);
    CHECK(on.locks.empty());
    CHECK(on.world.guests["web"].clients == 0);
}

TEST_CASE("two who call one guest differently do not work on it at once") {
    bench on;
    std::string other;
    on.world.guests["web"].add_takes = std::chrono::seconds(5);
    on.world.latency = [] { return std::chrono::milliseconds(2); };
    on.options.turn_deadline = std::chrono::seconds(1);
    simulated_process second(on.world, on.disk, on.locks, 99);
    on.time.later(std::chrono::milliseconds(500), [&] {
        auto work = [&]() -> awaitable<void> {
            operation_options impatient;
            impatient.turn_deadline = std::chrono::seconds(1);
            impatient.greeting_deadline = std::chrono::seconds(60);
            use_case running(second.shared(), impatient);
            const auto seen = co_await running.query_guest(by_address);
            if (seen.has_error()) other = seen.error().text;
        };
        boost::asio::co_spawn(on.io, std::move(work), boost::asio::detached);
    });
    REQUIRE(on.run([](use_case& running) { return attach_to(running, "web"); }));
    CHECK(on.report.ended() == outcome::done);
    CHECK(other.empty());
}

TEST_CASE("a device of this host goes to no guest whose process nobody sees, unless it is forced") {
    bench on;
    on.world.guests["web"].hidden = true;
    REQUIRE(on.run([](use_case& running) { return attach_to(running, by_address); }));
    CHECK(refuses(on, error_code::vm_unproven));
    on.world.guests["web"].memlock = {~std::uint64_t{0}, ~std::uint64_t{0}};
    REQUIRE(on.run([](use_case& running) { return attach_to(running, by_address, true); }));
    CHECK(on.report.ended() == outcome::done);
    CHECK(guest_process(on.last).pid == 0);
}

TEST_CASE("another user's guest is refused by its name and by its monitor, and taken when meant") {
    for (const auto& guest : {std::string("web"), by_address}) {
        CAPTURE(guest);
        bench on;
        on.world.guests["web"].uid = 64055;
        REQUIRE(on.run([&](use_case& running) { return attach_to(running, guest); }));
        CHECK(refuses(on, error_code::vm_foreign));
        CHECK(on.locks.empty());
        REQUIRE(on.run([&](use_case& running) { return attach_to(running, guest, false, 64055); }));
        CHECK(on.report.ended() == outcome::done);
    }
}

TEST_CASE("a device that QEMU shows by its path is known for what it is") {
    bench on;
    on.world.guests["web"].by_paths = true;
    attach_first(on);
    // The same device is asked for once more: by its address it is seen to be in the guest.
    REQUIRE(on.run([](use_case& running) -> awaitable<operation_report> {
        const auto seen = co_await running.query_guest("web");
        REQUIRE(seen.has_value());
        REQUIRE(seen->facts.devices.size() == 1);
        CHECK(seen->facts.devices.front().host == left);
        CHECK(seen->process->identity.pid == 77);
        CHECK(seen->facts.name == "web");
        co_return operation_report();
    }));
}

TEST_CASE("a guest that cannot be asked is no fault of the host's") {
    const auto ask = [](bench& on, const std::string& guest) {
        error_code code{};
        REQUIRE(on.run([&](use_case& running) -> awaitable<operation_report> {
            const auto seen = co_await running.query_guest(guest);
            REQUIRE(seen.has_error());
            code = seen.error().code;
            co_return operation_report();
        }));
        return code;
    };
    bench on;
    CHECK(ask(on, "nobody") == error_code::vm_not_found);
    on.world.guests["web"].frozen = true;
    CHECK(ask(on, "web") == error_code::monitor_silent);
    on.world.thaw(on.world.guests["web"]);
    on.world.end(on.world.guests["web"]);
    CHECK(ask(on, by_address) == error_code::monitor_gone);
}

TEST_CASE("what QEMU's process may not open is seen before anything is touched") {
    bench on;
    auto& view = on.world.guests["web"].view.emplace();
    view.same_nodes = view.container_node = view.sees_device = true;
    view.may_open_container = view.may_open_group = false;
    view.user = "uid 64055";
    REQUIRE(on.run(attach));
    CHECK(on.report.ended() == outcome::refused);
    CHECK(on.world.faults.changes() == 0);
    CHECK(on.world.devices.at(left).driver == "e1000");
}
