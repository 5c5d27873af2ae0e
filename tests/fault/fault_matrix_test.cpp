// Every act of every operation goes wrong in every way; then `recover`; then the invariants. The
// engine is the real one, in a fake world; time is virtual.

#include "fault/bench.hpp"
#include "step/step_kind.hpp"

#include <vmplug/step.hpp>

using namespace vmplug;
using namespace vmplug::testing;

namespace {

/// One operation to be disturbed: how to get to its begin, and the operation.
struct scenario {
    const char* name;
    void (*prepare)(bench&);
    awaitable<operation_report> (*begin)(use_case&);
};

const scenario scenarios[] = {
    {"attach with group", [](bench&) {}, attach},
    {"attach that QEMU refuses", [](bench& on) { on.world.guests["web"].refuses = true; }, attach},
    {"attach that the guest rejects", [](bench& on) { on.world.guests["web"].rejects = true; },
     attach},
    {"detach", attach_first, detach},
    {"detach that keeps it bound", attach_first, detach_and_keep},
    {"bind", [](bench&) {}, bind},
    {"bind by new_id", [](bench&) {}, bind_by_new_id},
    {"release", bind_first, release},
    {"release of what new_id bound", bind_by_new_id_first, release},
    {"release after the host driver's module was removed",
     [](bench& on) {
         bind_first(on);
         on.world.loaded.erase("e1000");
     },
     release},
    {"release of a device that has left the machine",
     [](bench& on) {
         bind_first(on);
         on.world.devices.erase(left);
     },
     release},
    {"release of a device that has left and come back",
     [](bench& on) {
         bind_first(on);
         come_back(on, left);
     },
     release},
    {"detach of a device that has left the machine",
     [](bench& on) {
         attach_first(on);
         on.world.guests["web"].devices.clear();
         on.world.devices.erase(left);
     },
     detach},
    {"detach from a paused guest",
     [](bench& on) {
         attach_first(on);
         on.world.set_paused(on.world.guests["web"], true);
     },
     detach},
    {"detach from a dead QEMU",
     [](bench& on) {
         attach_first(on);
         on.world.end(on.world.guests["web"]);
     },
     detach},
};

/// What of a world an operation may change.
struct host_state {
    std::map<std::string, fake_world::device_state> devices;
    std::uint64_t limit = 0;

    explicit host_state(const bench& on)
        : devices(on.world.devices), limit(on.world.guests.at("web").memlock.soft_bytes) {}
};

/// What is true whatever went wrong, once everything is settled.
void check_settled(bench& on, const host_state& before, const std::string& what) {
    CAPTURE(what);
    on.world.faults.clear();
    on.world.guests["web"].rejects = false;
    on.world.set_paused(on.world.guests["web"], false);
    // A pending unplug completes when the guest runs again.
    for (int i = 0; i < 3; ++i)
        REQUIRE(on.recover());
    CHECK(on.disk.open().empty());
    CHECK(on.locks.empty());
    // A driver that still knew the ids would take the next device of that kind.
    CHECK(on.world.told.empty());
    const auto assigned = on.disk.assignments();
    const bool away = !assigned.empty();
    CHECK(assigned.size() <= 1);
    const bool to_guest = away && assigned.front().kind == operation_kind::attach;
    CHECK(on.world.guests["web"].devices.size() ==
          (on.world.guests["web"].runs && to_guest ? 1 : 0));
    for (const auto& each : on.world.devices) {
        CAPTURE(each.first);
        if (away)
            CHECK(each.second.driver ==
                  (on.came_back.contains(each.first) ? each.second.native_driver : "vfio-pci"));
        else
            CHECK(each.second == before.devices.at(each.first));
    }
    // The limit of a process that has ended is nobody's.
    if (on.world.guests["web"].runs)
        CHECK((on.world.guests.at("web").memlock.soft_bytes == before.limit) == !to_guest);
    for (const auto& each : on.world.violations)
        FAIL_CHECK(each);
    const int changes = on.world.faults.changes();
    REQUIRE(on.recover());
    CHECK(on.world.faults.changes() == changes);
}

/// A verdict tells the truth at the moment at which it is given.
void check_verdict(bench& on, const host_state& before, const host_state& initial) {
    const auto ended = on.report.ended();
    if (ended == outcome::rolled_back || ended == outcome::refused)
        CHECK(on.world.devices == before.devices);
    if (ended == outcome::done && on.last.kind == operation_kind::attach)
        CHECK(on.world.guests["web"].devices.size() == 1);
    if (ended == outcome::done && on.last.kind == operation_kind::detach &&
        on.disk.assignments().empty())
        for (const auto& [address, device] : on.world.devices)
            CHECK(device == initial.devices.at(address));
}

int count_acts(const scenario& which) {
    bench on;
    which.prepare(on);
    const int begin = on.world.faults.count();
    on.run(which.begin);
    return on.world.faults.count() - begin;
}

host_state state_at_begin(const scenario& which) {
    bench on;
    which.prepare(on);
    return host_state(on);
}

} // namespace

TEST_CASE("every act of every operation goes wrong in every way, and recover settles it") {
    const host_state initial{bench()};
    int pairs = 0;
    for (const auto& which : scenarios) {
        const auto before = state_at_begin(which);
        const int acts = count_acts(which);
        REQUIRE(acts > 0);
        for (int at = 0; at < acts; ++at)
            for (const auto what : all_faults) {
                ++pairs;
                bench on;
                which.prepare(on);
                on.world.faults.plan_fault(at, what);
                const bool lived = on.run(which.begin);
                const auto text = std::string(which.name) + ", act " + std::to_string(at) +
                                  ", fault " + std::to_string(static_cast<int>(what));
                CAPTURE(text);
                if (lived) check_verdict(on, before, initial);
                const bool done = lived && on.report.ended() == outcome::done;
                const bool kept = done && on.last.kind == operation_kind::attach;
                check_settled(on, initial, text);
                // What was called done stays so, whatever the journal could keep of it.
                if (kept) CHECK(on.disk.assignments().size() == 1);
            }
    }
    MESSAGE(pairs << " pairs of act and fault");
    CHECK(pairs > 200);
}

TEST_CASE("a look whose answer is lost takes nothing back") {
    int looks = 0;
    const int acts = count_acts(scenarios[0]);
    for (int at = 0; at < acts; ++at) {
        bench on;
        on.world.faults.plan_fault(at, fault::answer_lost);
        REQUIRE(on.run(attach));
        bool added = false;
        for (const auto& step : on.last.steps)
            added =
                added || (step.planned.kind == step_kind::device_add &&
                          step.state != step_state::planned && step.state != step_state::reverted);
        if (!added) continue;
        ++looks;
        CHECK(on.world.is_in_guest(left));
        CHECK((on.report.ended() == outcome::done || on.report.ended() == outcome::unknown));
    }
    CHECK(looks > 3);
}

TEST_CASE("the disk fills up") {
    const host_state initial{bench()};
    int pairs = 0;
    for (const auto& which : scenarios) {
        const auto before = state_at_begin(which);
        for (int room = 0; room < 12; ++room) {
            const auto text = std::string(which.name) + ", room for " + std::to_string(room);
            CAPTURE(text);
            ++pairs;
            bench on;
            which.prepare(on);
            on.disk.room = room;
            REQUIRE(on.run(which.begin));
            // What is not on record is not called done.
            if (on.disk.room < 0) CHECK(on.report.ended() != outcome::done);
            if (on.report.ended() == outcome::refused && on.report.record().number == 0)
                CHECK(!on.report.refusals().empty());
            check_verdict(on, before, initial);
            const bool kept = on.last.kind == operation_kind::attach && on.world.is_in_guest(left);
            on.disk.room = 1000;
            check_settled(on, initial, text);
            if (kept && on.report.ended() == outcome::unknown)
                CHECK(on.disk.assignments().size() == 1);
        }
    }
    MESSAGE(pairs << " full disks");
}

TEST_CASE("the records cannot be read for a moment, or nothing can be locked") {
    const host_state initial{bench()};
    int failures = 0;
    for (const auto& which : scenarios) {
        const auto before = state_at_begin(which);
        for (const bool locks : {false, true})
            for (int at = 0; at < 40; ++at) {
                const auto text = std::string(which.name) + (locks ? ", lock " : ", load ") +
                                  std::to_string(at) + " fails";
                CAPTURE(text);
                bench on;
                which.prepare(on);
                int& count = locks ? on.locks.takes : on.disk.loads;
                (locks ? on.locks.bad_take : on.disk.bad_load) = count + at;
                REQUIRE(on.run(which.begin));
                const bool failed = count > (locks ? on.locks.bad_take : on.disk.bad_load);
                on.locks.bad_take = on.disk.bad_load = -1;
                if (!failed) break;
                ++failures;
                check_verdict(on, before, initial);
                check_settled(on, initial, text);
            }
    }
    MESSAGE(failures << " failures of a load or a lock");
    CHECK(failures > 50);
}

TEST_CASE("recover tells that the records cannot be read, and settles all when they can") {
    const host_state initial{bench()};
    for (int at = 0; at < 12; ++at) {
        CAPTURE(at);
        bench on;
        on.world.faults.plan_fault(9, fault::dies_after);
        REQUIRE_FALSE(on.run(attach));
        on.world.faults.clear();
        on.disk.bad_load = on.disk.loads + at;
        bool told = false;
        REQUIRE(on.run([&](use_case& running) -> awaitable<operation_report> {
            const auto settled = co_await running.recover();
            if (settled.has_error())
                told = settled.error().code == error_code::journal_unavailable;
            else
                for (const auto& each : *settled)
                    told = told || !each.refusals().empty() || each.ended() != outcome::rolled_back;
            co_return operation_report();
        }));
        const bool failed = on.disk.loads > on.disk.bad_load;
        on.disk.bad_load = -1;
        if (failed) CHECK(told);
        check_settled(on, initial, "load " + std::to_string(at));
    }
}

TEST_CASE("the process dies, and dies again while it recovers") {
    const host_state initial{bench()};
    int pairs = 0;
    for (const auto& which : scenarios) {
        const int acts = count_acts(which);
        for (int at = 0; at < acts; ++at)
            for (int again = 0; again < 12; ++again)
                for (const auto what : {fault::dies_before, fault::dies_after, fault::fails}) {
                    ++pairs;
                    bench on;
                    which.prepare(on);
                    on.world.faults.plan_fault(at, fault::dies_after);
                    on.run(which.begin);
                    on.world.faults.clear();
                    on.world.faults.plan_fault(again, what);
                    on.recover();
                    check_settled(on, initial,
                                  std::string(which.name) + ", dies at " + std::to_string(at) +
                                      ", again at " + std::to_string(again));
                }
    }
    MESSAGE(pairs << " pairs of two faults");
    CHECK(pairs > 1000);
}

TEST_CASE("the process dies whenever it has told of something") {
    const host_state initial{bench()};
    std::set<std::string> kinds;
    int pairs = 0;
    for (const auto& which : scenarios)
        for (int at = 0; at < 32; ++at) {
            bench on;
            which.prepare(on);
            int count = 0;
            const bool lived = on.run(which.begin, [&](const std::string&) {
                if (count++ == at) throw process_death{};
            });
            for (const auto& [number, row] : on.disk.rows)
                for (const auto& step : row.steps)
                    if (step.state != step_state::planned) kinds.insert(step.planned.kind);
            if (lived) break;
            ++pairs;
            check_settled(on, initial, std::string(which.name) + ", word " + std::to_string(at));
        }
    MESSAGE(pairs << " boundaries of steps");
    CHECK(pairs > 20);
    // A kind of step that no scenario has would not be tested.
    for (const auto* kind : step_kinds())
        CHECK(kinds.contains(std::string(kind->name())));
}

TEST_CASE("an undo that does not work is stuck, keeps everything reserved, and is settled later") {
    const host_state initial{bench()};
    int stuck = 0;
    const auto& which = scenarios[1];
    const int acts = count_acts(which);
    for (int at = 0; at < acts; ++at) {
        bench on;
        which.prepare(on);
        for (int more = at; more < acts + 20; ++more)
            on.world.faults.plan_fault(more, fault::never_arrived);
        REQUIRE(on.run(which.begin));
        if (on.report.ended() == outcome::stuck) {
            ++stuck;
            // A module that was loaded is left: what stands of a binding is not.
            const bool binds = std::ranges::any_of(on.last.steps, [](const step_record& each) {
                return each.planned.kind == step_kind::set_binding &&
                       (each.state == step_state::begun || each.state == step_state::applied);
            });
            CHECK(manual_undo(on.last).empty() != binds);
        }
        if (on.report.ended() == outcome::rolled_back) CHECK(on.world.devices == initial.devices);
        check_settled(on, initial, "everything hangs from act " + std::to_string(at));
    }
    CHECK(stuck > 0);
}
