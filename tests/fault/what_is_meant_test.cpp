// Which record a guest's name and a device's id mean, and what is told of one that is meant no
// more. The engine is the real one.

#include "fault/bench.hpp"

#include <boost/asio/detached.hpp>

using namespace vmplug;
using namespace vmplug::testing;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const std::string apart = "0000:05:00.0"; ///< in a group of its own

/// Two guests that have a device of one id each.
struct twins : bench {
    twins() {
        world.devices[apart] = {"e1000e", {{"eth9", "52:54:00:00:00:09"}}, 12, "e1000e", ""};
        world.guests["db"].identity = {"boot", 78, 1};
        attach_first(*this);
        REQUIRE(run([](use_case& running) {
            attach_request request;
            request.id = "nic0";
            request.wait_guest = milliseconds(1);
            return running.attach("db", apart, request);
        }));
        REQUIRE(report.ended() == outcome::done);
    }

    /// As they are when both QEMUs were given that name.
    void call_both_web() { disk.rows.at(last.number).subject["guest"] = "web"; }

    /// Its QEMU has ended, and another one of that name runs.
    void restart(const std::string& guest) {
        world.end(world.guests[guest]);
        world.guests[guest].identity.start_time += 1000;
        world.guests[guest].runs = true;
    }
};

error why_refused(const bench& on) {
    REQUIRE(on.report.ended() == outcome::refused);
    REQUIRE(on.report.refusals().size() == 1);
    return on.report.refusals().front();
}

error why_detach_is_refused(bench& on, const std::string& guest, const std::string& id) {
    const int changes = on.world.faults.changes();
    REQUIRE(on.run([&](use_case& running) {
        detach_request request;
        request.id = id;
        return running.detach(guest, request);
    }));
    CHECK(on.world.faults.changes() == changes);
    CHECK(on.locks.empty());
    return why_refused(on);
}

bool names(const error& why, const std::string& text) {
    return why.text.find(text) != std::string::npos;
}

} // namespace

TEST_CASE("an empty name means nothing") {
    bench on;
    attach_first(on);
    CHECK(why_detach_is_refused(on, "", "nic0").code == error_code::invalid_argument);
    CHECK(why_detach_is_refused(on, "web", "").code == error_code::invalid_argument);
    const int changes = on.world.faults.changes();
    REQUIRE(on.run([](use_case& running) { return running.bind("", {}); }));
    CHECK(why_refused(on).code == error_code::invalid_argument);
    CHECK(on.world.faults.changes() == changes);
}

TEST_CASE("two running guests of one name are told apart by their processes") {
    twins on;
    on.call_both_web();
    const auto why = why_detach_is_refused(on, "web", "nic0");
    CHECK(why.code == error_code::vm_ambiguous);
    CHECK(names(why, "pid 77 has " + left));
    CHECK(names(why, "pid 78 has " + apart));
    CHECK(on.world.is_in_guest(left));
    CHECK(on.world.is_in_guest(apart));
}

TEST_CASE("of two guests of one name the one that runs is meant") {
    twins on;
    on.call_both_web();
    on.world.end(on.world.guests["web"]);
    REQUIRE(on.run(detach));
    CHECK(on.report.ended() == outcome::done);
    CHECK(field(on.last.subject, "device") == apart);
}

TEST_CASE(
    "what a guest had that has ended is taken home, unless another one is meant by its name") {
    bench on;
    attach_first(on);
    on.world.end(on.world.guests["web"]);
    REQUIRE(on.run(detach));
    CHECK(on.report.ended() == outcome::done);
    CHECK(on.world.devices.at(left).driver == "e1000");
    twins again;
    again.restart("web");
    const auto why = why_detach_is_refused(again, "web", "nic0");
    CHECK(why.code == error_code::not_attached);
    CHECK(names(why, "pid 77 has " + left));
    CHECK(why.advised == advice::recover);
    CHECK(again.world.devices.at(left).driver == "vfio-pci");
}

TEST_CASE("what several guests of one name had is left to recover, which knows them apart") {
    twins on;
    on.call_both_web();
    on.world.end(on.world.guests["web"]);
    on.world.end(on.world.guests["db"]);
    const auto why = why_detach_is_refused(on, "web", "nic0");
    CHECK(why.code == error_code::vm_ambiguous);
    CHECK(why.advised == advice::recover_all);
    REQUIRE(on.recover());
    CHECK(on.disk.assignments().empty());
    CHECK(on.world.devices.at(left).driver == "e1000");
    CHECK(on.world.devices.at(apart).driver == "e1000e");
}

TEST_CASE("a detach whose device was given anew while it waited changes nothing") {
    bench on;
    attach_first(on);
    // Another process has the guest; when it is through, that id means another operation.
    const auto& guest = on.world.guests["web"].identity;
    const auto lease =
        "guest-" + std::to_string(guest.pid) + "-" + std::to_string(guest.start_time);
    on.locks[lease] = 99;
    on.time.later(milliseconds(500), [&] {
        auto moved = on.disk.rows.extract(on.last.number);
        moved.key() = moved.mapped().number = ++on.disk.latest;
        on.disk.rows.insert(std::move(moved));
        on.locks.erase(lease);
    });
    CHECK(why_detach_is_refused(on, "web", "nic0").code == error_code::operation_conflict);
    CHECK(on.world.is_in_guest(left));
    REQUIRE(on.run(detach));
    CHECK(on.report.ended() == outcome::done);
}

namespace {

/// A host whose names take their time to be read.
class slow_reader final : public host_reader {
public:
    slow_reader(host_reader& real, vmplug::clock& time) : real_(real), time_(time) {}

    task<host_facts> read_host() override { return real_.read_host(); }
    task<host_facts> read_names() override {
        co_await time_.wait(seconds(10));
        co_return co_await real_.read_names();
    }
    task<host_facts> read_functions() override { return real_.read_functions(); }
    task<function_abilities> read_abilities(const host_facts& host, host_address device) override {
        return real_.read_abilities(host, device);
    }
    task<std::optional<process_view>> view_device(const host_facts& host,
                                                  std::optional<qemu_process> qemu,
                                                  host_address device) override {
        return real_.view_device(host, std::move(qemu), device);
    }
    std::optional<host_address> resolve_device(const std::string& path) override {
        return real_.resolve_device(path);
    }

private:
    host_reader& real_;
    vmplug::clock& time_;
};

} // namespace

TEST_CASE("of two requests of one key the later one reports the first, however they overtake") {
    bench on;
    simulated_process other(on.world, on.disk, on.locks, 99);
    auto& given = other.shared().at;
    slow_reader slow(given.reader, on.time);
    world late{slow, given.host, given.vms, given.store, given.leases, given.time, given.self};
    engine late_engine(late);
    operation_report repeated;
    on.options.request_id = "key";
    // It looks for the key before the first is on record, and has the device's lease after that.
    const auto ask_late = [&]() -> awaitable<void> {
        use_case running(late_engine, on.options);
        repeated = co_await vmplug::testing::attach(running);
    };
    boost::asio::co_spawn(on.io, ask_late, boost::asio::detached);
    REQUIRE(on.run(attach));
    REQUIRE(on.report.ended() == outcome::done);
    CHECK(repeated.is_repeated());
    CHECK(repeated.ended() == outcome::done);
    CHECK(repeated.record().number == on.last.number);
    CHECK(on.disk.rows.size() == 1);
    CHECK(on.locks.empty());
}
