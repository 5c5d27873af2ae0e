// A stop, or the end of an operation's time, is heard wherever it waits. The engine is the real
// one, the time is virtual.

#include "fault/bench.hpp"

using namespace vmplug;
using namespace vmplug::testing;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// How long the rest may take when it was asked to stop: looks, and what is undone.
constexpr seconds short_while{6};

milliseconds elapsed_since(const bench& on, virtual_clock::time_point begin) {
    return std::chrono::duration_cast<milliseconds>(on.time.now() - begin);
}

/// Runs `what`, and asks it to stop after a time.
milliseconds run_and_stop(bench& on, const bench::operation& what, milliseconds after) {
    std::stop_source stop;
    on.options.stop = stop.get_token();
    const auto begin = on.time.now();
    virtual_clock::time_point end;
    on.time.later(after, [&] { stop.request_stop(); });
    REQUIRE(on.run([&](use_case& running) -> awaitable<operation_report> {
        auto report = co_await what(running);
        end = on.time.now();
        co_return report;
    }));
    on.options.stop = {};
    return std::chrono::duration_cast<milliseconds>(end - begin);
}

} // namespace

TEST_CASE("a stop is heard while QEMU is at a device_add that takes minutes") {
    bench on;
    on.world.guests["web"].add_takes = seconds(120);
    const auto took = run_and_stop(on, attach, seconds(1));
    CHECK(took < seconds(1) + short_while);
    // Nobody knows yet what becomes of it, so nothing is undone.
    CHECK(on.report.ended() == outcome::unknown);
    CHECK(on.world.devices[left].driver == "vfio-pci");
    REQUIRE(on.recover());
    CHECK(on.disk.open().empty());
    CHECK(on.world.violations.empty());
}

TEST_CASE("the time of an operation is for all of it") {
    bench on;
    on.world.guests["web"].add_takes = seconds(120);
    on.options.deadline = seconds(5);
    const auto begin = on.time.now();
    REQUIRE(on.run(attach));
    CHECK(on.report.ended() == outcome::unknown);
    REQUIRE(on.last.failure.has_value());
    CHECK(elapsed_since(on, begin) < seconds(125));
}

TEST_CASE("what ended before a device_add could be sent is undone, and the time is named") {
    bench on;
    // Each answer takes its time, and each is in time.
    on.world.latency = [] { return seconds(2); };
    on.options.deadline = seconds(15);
    REQUIRE(on.run(attach));
    CHECK(on.report.ended() == outcome::rolled_back);
    REQUIRE(on.last.failure.has_value());
    CHECK(on.last.failure->code == error_code::timed_out);
    CHECK(on.last.failure->text.find("15000 ms") != std::string::npos);
    CHECK(on.world.devices[left].driver == "e1000");
}

TEST_CASE("a detach that is stopped leaves the device with the guest, and the journal knows it") {
    bench on;
    attach_first(on);
    on.world.set_paused(on.world.guests["web"], true);
    const auto patient = [](use_case& running) -> awaitable<operation_report> {
        detach_request request;
        request.id = "nic0";
        request.wait_guest = seconds(3600);
        co_return co_await running.detach("web", request);
    };
    const auto took = run_and_stop(on, patient, seconds(3));
    CHECK(took < seconds(3) + short_while);
    CHECK(on.report.ended() == outcome::unplug_pending);
    CHECK(on.world.is_in_guest(left));
    CHECK(on.disk.open().size() == 1);
}

TEST_CASE("a guest that refuses an unplug is heard at once, and keeps its device") {
    bench on;
    attach_first(on);
    on.world.guests["web"].keeps = true;
    const auto begin = on.time.now();
    const auto patient = [](use_case& running) -> awaitable<operation_report> {
        detach_request request;
        request.id = "nic0";
        request.wait_guest = seconds(3600);
        co_return co_await running.detach("web", request);
    };
    REQUIRE(on.run(patient));
    CHECK(elapsed_since(on, begin) < seconds(1));
    CHECK(on.report.ended() == outcome::rolled_back);
    REQUIRE(on.last.failure.has_value());
    CHECK(on.last.failure->code == error_code::unplug_refused);
    CHECK(on.world.is_in_guest(left));
    CHECK(on.disk.open().empty());
    // It is still assigned, and can be asked for again.
    CHECK(on.disk.assignments().size() == 1);
    on.world.guests["web"].keeps = false;
    REQUIRE(on.run(patient));
    CHECK(on.report.ended() == outcome::done);
}
