// Several operations of one process at once. The engine is the real one, the time is virtual.

#include "engine/late_unplugs.hpp"
#include "fault/bench.hpp"

#include <boost/asio/detached.hpp>

#include <new>

using namespace vmplug;
using namespace vmplug::testing;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// Four devices, each in a group of its own, and a guest that takes them.
struct crowd {
    boost::asio::io_context io;
    virtual_clock time{io};
    fake_world world{time};
    simulated_disk disk;
    simulated_locks locks;
    std::unique_ptr<simulated_process> one;
    std::vector<std::pair<std::string, milliseconds>> ended; ///< in that order
    bool may_die = false;
    milliseconds patience = seconds(60); ///< of a detach

    crowd() {
        world.guests["web"].identity = {"boot", 77, 1};
        for (int i = 1; i < 5; ++i)
            world.devices[device(i)] = {
                "e1000e", {{"eth" + std::to_string(i), "52:54:00:00:00:01"}}, i, "e1000e", ""};
        world.latency = [] { return milliseconds(2); };
        one = std::make_unique<simulated_process>(world, disk, locks, 1);
    }

    static std::string device(int number) { return "0000:0" + std::to_string(number) + ":00.0"; }

    void start(const std::string& name,
               std::function<awaitable<operation_report>(use_case&)> what) {
        auto run = [this, name, what]() -> awaitable<void> {
            use_case running(one->shared(), {});
            try {
                const auto report = co_await what(running);
                CHECK((report.ended() == outcome::done ||
                       (patience < seconds(60) && report.ended() == outcome::unplug_pending)));
                ended.emplace_back(name, time.elapsed());
            } catch (const process_death&) {
                CHECK(may_die);
            }
        };
        boost::asio::co_spawn(io, std::move(run), boost::asio::detached);
    }

    void attach(int number) {
        start("attach " + std::to_string(number), [number](use_case& running) {
            attach_request request;
            request.id = "nic" + std::to_string(number);
            request.wait_guest = milliseconds(1);
            return running.attach("web", device(number), request);
        });
    }

    void detach(int number) {
        start("detach " + std::to_string(number), [this, number](use_case& running) {
            detach_request request;
            request.id = "nic" + std::to_string(number);
            request.wait_guest = patience;
            return running.detach("web", request);
        });
    }
};

} // namespace

TEST_CASE("several unplugs are under way at once in one guest") {
    crowd at;
    for (int i = 1; i < 5; ++i)
        at.attach(i);
    at.time.run();
    REQUIRE(at.ended.size() == 4);
    // The guest takes its time with each of them, and with all at once.
    at.world.guests["web"].lets_go_after = seconds(10);
    const auto begin = at.time.elapsed();
    for (int i = 1; i < 5; ++i)
        at.detach(i);
    at.time.run();
    REQUIRE(at.ended.size() == 8);
    CHECK(at.ended.back().second - begin < seconds(12));
    CHECK(at.world.guests["web"].devices.empty());
    CHECK(at.world.guests["web"].memlock.soft_bytes == fake_world::first_memlock_bytes);
    CHECK(at.world.violations.empty());
    CHECK(at.locks.empty());
    CHECK(at.world.guests["web"].clients == 0);
}

TEST_CASE("an attach has its turn while a guest makes up its mind about another device") {
    crowd at;
    at.attach(1);
    at.time.run();
    at.world.guests["web"].lets_go_after = seconds(30);
    at.detach(1);
    at.time.later(seconds(1), [&] { at.attach(2); });
    at.time.run();
    REQUIRE(at.ended.size() == 3);
    CHECK(at.ended[1].first == "attach 2");
    CHECK(at.ended[2].first == "detach 1");
    // The limit that the first had raised stays for the second.
    CHECK(at.world.violations.empty());
    CHECK(at.world.guests["web"].memlock.soft_bytes > fake_world::first_memlock_bytes);
    at.detach(2);
    at.time.run();
    CHECK(at.world.guests["web"].memlock.soft_bytes == fake_world::first_memlock_bytes);
}

TEST_CASE("a process that stays settles by itself what a guest lets go of late") {
    crowd at;
    at.attach(1);
    at.attach(2);
    at.time.run();
    std::stop_source stop;
    std::vector<operation_report> late;
    operation_options staying;
    staying.stop = stop.get_token();
    late_unplugs keeper(at.one->shared(), staying,
                        [&](const operation_report& report) { late.push_back(report); });
    boost::asio::co_spawn(at.io, keeper.run(), boost::asio::detached);
    at.world.guests["web"].lets_go_after = std::chrono::hours(2);
    at.patience = seconds(5);
    at.detach(1);
    // Nobody's turn is kept by a guest that is only listened to.
    at.time.later(seconds(60), [&] { at.attach(3); });
    at.time.later(seconds(600), [&] {
        CHECK(at.disk.open().size() == 1);
        CHECK(at.locks.empty());
    });
    at.time.later(std::chrono::hours(3), [&] { stop.request_stop(); });
    at.time.run();
    REQUIRE(late.size() == 1);
    CHECK(late[0].ended() == outcome::done);
    CHECK(late[0].record().kind == operation_kind::detach);
    CHECK(at.disk.open().empty());
    CHECK(at.disk.assignments().size() == 2);
    CHECK(at.world.violations.empty());
    CHECK(at.world.guests["web"].clients == 0);
}

TEST_CASE("what is waited for late survives a guest that is busy and a machine that is short") {
    crowd at;
    at.attach(1);
    at.attach(2);
    at.time.run();
    std::stop_source stop;
    int late = 0;
    bool has_ended = false;
    operation_options staying;
    staying.stop = stop.get_token();
    late_unplugs keeper(at.one->shared(), staying, [&](const operation_report&) { ++late; });
    const auto keep = [&]() -> awaitable<void> {
        co_await keeper.run();
        has_ended = true;
    };
    boost::asio::co_spawn(at.io, keep, boost::asio::detached);
    auto& guest = at.world.guests["web"];
    guest.lets_go_after = std::chrono::hours(1);
    at.patience = seconds(5);
    at.detach(1);
    // Somebody has the guest for longer than a turn is waited for.
    at.time.later(seconds(100), [&] {
        guest.add_takes = seconds(120);
        at.attach(3);
    });
    // Once there is no memory, and once no journal.
    bool short_of_memory = false;
    at.world.latency = [&] {
        if (std::exchange(short_of_memory, false)) throw std::bad_alloc();
        return milliseconds(2);
    };
    at.time.later(seconds(700), [&] { short_of_memory = true; });
    at.time.later(seconds(900), [&] { at.disk.bad_load = at.disk.loads; });
    at.time.later(std::chrono::hours(2), [&] { CHECK(late == 1); });
    // Asked to stop while it waits, it goes when all that it began has ended.
    at.time.later(std::chrono::hours(2), [&] { at.detach(2); });
    at.time.later(std::chrono::hours(2) + seconds(60), [&] {
        CHECK(at.disk.open().size() == 1);
        CHECK_FALSE(has_ended);
        stop.request_stop();
    });
    at.time.later(std::chrono::hours(2) + seconds(90), [&] { CHECK(has_ended); });
    at.time.run();
    CHECK(has_ended);
    CHECK(late == 1);
    CHECK(at.disk.open().size() == 1);
    CHECK(at.world.violations.empty());
    CHECK(guest.clients == 0);
}

TEST_CASE("a guest that ends settles what it left pending") {
    crowd at;
    at.attach(1);
    at.time.run();
    std::stop_source stop;
    int late = 0;
    operation_options staying;
    staying.stop = stop.get_token();
    late_unplugs keeper(at.one->shared(), staying, [&](const operation_report&) { ++late; });
    boost::asio::co_spawn(at.io, keeper.run(), boost::asio::detached);
    at.world.guests["web"].lets_go_after = std::chrono::hours(2);
    at.patience = seconds(5);
    at.detach(1);
    at.time.later(seconds(60), [&] { at.world.end(at.world.guests["web"]); });
    at.time.later(seconds(70), [&] { CHECK(late == 1); });
    at.time.later(seconds(100), [&] { stop.request_stop(); });
    at.time.run();
    CHECK(at.disk.assignments().empty());
    CHECK(at.world.devices[crowd::device(1)].driver == "e1000e");
}

TEST_CASE("a guest that cannot be reached is asked ever more seldom, and settled when it can be") {
    crowd at;
    at.attach(1);
    at.time.run();
    std::stop_source stop;
    milliseconds settled{};
    operation_options staying;
    staying.stop = stop.get_token();
    late_unplugs keeper(at.one->shared(), staying,
                        [&](const operation_report&) { settled = at.time.elapsed(); });
    boost::asio::co_spawn(at.io, keeper.run(), boost::asio::detached);
    auto& web = at.world.guests["web"];
    web.lets_go_after = std::chrono::minutes(30);
    at.patience = seconds(5);
    at.detach(1);
    const auto begin = at.time.elapsed();
    int before = 0;
    at.time.later(seconds(60), [&] {
        before = web.greeted;
        fake_world::hang_up(web);
    });
    at.time.later(seconds(3660), [&] {
        // Each half minute: it greets every time.
        CHECK(web.greeted - before > 100);
        CHECK(web.greeted - before < 130);
        CHECK(settled == milliseconds(0));
        web.hangs_up = false;
    });
    at.time.later(seconds(3720), [&] { stop.request_stop(); });
    at.time.run();
    CHECK(settled - begin > seconds(3660));
    CHECK(settled - begin < seconds(3700));
    CHECK(at.disk.open().empty());
    CHECK(at.world.violations.empty());
}

TEST_CASE("the end of a guest that cannot be reached is seen before it is tried again") {
    crowd at;
    at.attach(1);
    at.time.run();
    std::stop_source stop;
    milliseconds settled{};
    operation_options staying;
    staying.stop = stop.get_token();
    late_unplugs keeper(at.one->shared(), staying,
                        [&](const operation_report&) { settled = at.time.elapsed(); });
    boost::asio::co_spawn(at.io, keeper.run(), boost::asio::detached);
    auto& web = at.world.guests["web"];
    web.lets_go_after = std::chrono::hours(2);
    at.patience = seconds(5);
    at.detach(1);
    const auto begin = at.time.elapsed();
    at.time.later(seconds(60), [&] { fake_world::hang_up(web); });
    at.time.later(seconds(580), [&] { at.world.end(web); });
    at.time.later(seconds(700), [&] { stop.request_stop(); });
    at.time.run();
    CHECK(settled - begin > seconds(580));
    CHECK(settled - begin < seconds(586));
    CHECK(at.disk.assignments().empty());
    CHECK(at.world.devices[crowd::device(1)].driver == "e1000e");
}

TEST_CASE("an id that an unsettled detach knows is not given to another device") {
    crowd at;
    at.attach(1);
    at.time.run();
    at.world.guests["web"].lets_go_after = seconds(60);
    at.patience = seconds(5);
    at.detach(1);
    at.time.run();
    // The guest has let go by now, and nobody has settled it: recover would ask it for the other
    // one.
    CHECK(at.world.guests["web"].devices.empty());
    REQUIRE(at.disk.open().size() == 1);
    operation_report second;
    const auto attach_with_that_id = [&]() -> awaitable<void> {
        use_case running(at.one->shared(), {});
        attach_request request;
        request.id = "nic1";
        second = co_await running.attach("web", crowd::device(2), request);
    };
    boost::asio::co_spawn(at.io, attach_with_that_id, boost::asio::detached);
    at.time.run();
    CHECK(second.ended() == outcome::refused);
    REQUIRE(second.refusals().size() == 1);
    CHECK(second.refusals()[0].code == error_code::duplicate_id);
    CHECK(at.world.devices[crowd::device(2)].driver == "e1000e");
}

TEST_CASE("a key whose first request still runs is left alone, and nothing is said to be done") {
    crowd at;
    at.world.guests["web"].add_takes = seconds(60);
    std::vector<operation_report> reports;
    const auto attach_once = [&]() -> awaitable<void> {
        operation_options chosen;
        chosen.request_id = "key";
        use_case running(at.one->shared(), chosen);
        attach_request request;
        request.id = "nic1";
        reports.push_back(co_await running.attach("web", crowd::device(1), request));
    };
    boost::asio::co_spawn(at.io, attach_once, boost::asio::detached);
    at.time.later(seconds(5),
                  [&] { boost::asio::co_spawn(at.io, attach_once, boost::asio::detached); });
    at.time.run();
    REQUIRE(reports.size() == 2);
    CHECK(reports[0].is_repeated());
    CHECK_FALSE(reports[0].ended().has_value());
    REQUIRE(reports[0].refusals().size() == 1);
    CHECK(reports[0].refusals()[0].code == error_code::device_busy);
    CHECK(reports[1].ended() == outcome::done);
}

TEST_CASE("recover settles what is independent side by side") {
    crowd at;
    for (int i = 1; i < 5; ++i)
        at.attach(i);
    at.time.run();
    at.world.guests["web"].lets_go_after = seconds(10);
    for (int i = 1; i < 5; ++i)
        at.detach(i);
    // It dies with four unplugs under way.
    at.time.later(seconds(5), [&] { at.one->die(); });
    at.may_die = true;
    at.time.run();
    REQUIRE(at.disk.open().size() == 4);
    at.one = std::make_unique<simulated_process>(at.world, at.disk, at.locks, 2);
    std::size_t settled = 0;
    const auto begin = at.time.elapsed();
    milliseconds took{};
    const auto recover = [&]() -> awaitable<void> {
        use_case running(at.one->shared(), {});
        const auto reports = co_await running.recover();
        REQUIRE(reports.has_value());
        for (const auto& each : *reports)
            if (each.ended() == outcome::done) ++settled;
        took = at.time.elapsed() - begin;
    };
    boost::asio::co_spawn(at.io, recover, boost::asio::detached);
    at.time.run();
    CHECK(settled == 4);
    CHECK(took < seconds(12));
    CHECK(at.disk.open().empty());
    CHECK(at.world.violations.empty());
}

TEST_CASE("attaches to one guest have their turns in the order in which they came") {
    crowd at;
    for (int i = 1; i < 5; ++i)
        at.attach(i);
    at.time.run();
    REQUIRE(at.ended.size() == 4);
    for (int i = 0; i < 4; ++i)
        CHECK(at.ended[static_cast<std::size_t>(i)].first == "attach " + std::to_string(i + 1));
}
