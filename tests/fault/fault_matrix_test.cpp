// Every act of every operation goes wrong in every way; then `recover`; then the invariants. The
// engine is the real one, in a fake world; time is virtual.

#include "engine/use_case.hpp"
#include "step/step_kind.hpp"
#include "support/simulated_world.hpp"

#include <vmplug/controller.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <set>

using namespace vmplug;
using namespace vmplug::testing;

namespace {

using boost::asio::awaitable;

const std::string left = "0000:04:01.0";
const std::string right = "0000:04:02.0";

/// A world with two neighbours in one group, a disk, and a vmplug that runs one operation at a
/// time.
class bench {
public:
    bench() {
        // Two ports of one function, one of them in a container.
        world.devices[left] = {"e1000",
                               {{"eth3", "52:54:00:00:00:03", "52:54:00:aa:aa:03", 9000, {"wan0"}},
                                {"pod1", "52:54:00:00:00:13", "52:54:00:00:00:13", 1400, {}, 77}},
                               11,
                               "e1000",
                               ""};
        world.guests["web"].identity = {"boot", 77, 1};
        world.devices[right] = {"e1000", {{"eth4", "52:54:00:00:00:04"}}, 11, "e1000", "e1000"};
    }
    bench(const bench&) = delete;
    bench& operator=(const bench&) = delete;

    using operation = std::function<awaitable<operation_report>(use_case&)>;

    boost::asio::io_context io;
    virtual_clock time{io};
    fake_world world{time};
    simulated_disk disk;
    simulated_locks locks;

    /// Runs until it ends or the process dies. Returns whether it lived.
    bool run(const operation& what, std::function<void(const std::string&)> progress = {}) {
        if (!process_ || !process_->is_alive())
            process_ = std::make_unique<simulated_process>(world, disk, locks, ++started_);
        operation_options options;
        options.observer.progress = std::move(progress);
        use_case running(process_->at(), options);
        bool lived = true;
        const auto work = [&]() -> awaitable<void> {
            try {
                report = co_await what(running);
            } catch (const process_death&) {
                lived = false;
            }
        };
        boost::asio::co_spawn(io, work, [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        time.run();
        if (!lived) process_->die();
        if (lived) last = report.record;
        return lived;
    }

    bool recover() {
        return run([this](use_case& running) -> awaitable<operation_report> {
            auto settled = co_await running.recover(false);
            REQUIRE(settled.has_value());
            reports = std::move(*settled);
            co_return reports.empty() ? operation_report() : reports.back();
        });
    }

    operation_report report;               ///< of the last that lived
    operation_record last;                 ///< its record
    std::vector<operation_report> reports; ///< of the last recover
    std::set<std::string> came_back;       ///< without vmplug: new devices, on their own drivers

private:
    std::unique_ptr<simulated_process> process_;
    int started_ = 0;
};

awaitable<operation_report> attach(use_case& running) {
    attach_request request;
    request.id = "nic0";
    request.with_group = true;
    request.wait_guest = std::chrono::milliseconds(1);
    return running.attach("web", left, request, "", false);
}

awaitable<operation_report> detach(use_case& running) {
    detach_request request;
    request.id = "nic0";
    request.wait_guest = std::chrono::milliseconds(100);
    return running.detach("web", request, "", false);
}

awaitable<operation_report> detach_and_keep(use_case& running) {
    detach_request request;
    request.id = "nic0";
    request.wait_guest = std::chrono::milliseconds(100);
    request.keep_bound = true;
    return running.detach("web", request, "", false);
}

awaitable<operation_report> bind(use_case& running) {
    bind_request request;
    request.with_group = true;
    return running.bind(left, request, false);
}

awaitable<operation_report> bind_by_new_id(use_case& running) {
    bind_request request;
    request.with_group = true;
    request.binding = binding_way::new_id;
    return running.bind(left, request, false);
}

awaitable<operation_report> release(use_case& running) {
    return running.release(left, false);
}

/// One operation to be disturbed: how to get to its begin, and the operation.
struct scenario {
    const char* name;
    void (*prepare)(bench&);
    awaitable<operation_report> (*begin)(use_case&);
};

void do_first(bench& on, awaitable<operation_report> (*what)(use_case&)) {
    REQUIRE(on.run(what));
    REQUIRE(on.report.ended == outcome::done);
}

void bind_first(bench& on) {
    do_first(on, bind);
}

void bind_by_new_id_first(bench& on) {
    do_first(on, bind_by_new_id);
}

void attach_first(bench& on) {
    do_first(on, attach);
}

/// Removed and scanned for again: as the kernel finds a new device.
void come_back(bench& on, const std::string& address) {
    auto& device = on.world.devices.at(address);
    device.driver_override.clear();
    device.driver.clear();
    on.world.attach_driver(device, device.native_driver);
    on.came_back.insert(address);
}

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
    const auto ended = on.report.ended;
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
                const bool done = lived && on.report.ended == outcome::done;
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
        CHECK((on.report.ended == outcome::done || on.report.ended == outcome::unknown));
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
            if (on.disk.room < 0) CHECK(on.report.ended != outcome::done);
            check_verdict(on, before, initial);
            const bool kept = on.last.kind == operation_kind::attach && on.world.is_in_guest(left);
            on.disk.room = 1000;
            check_settled(on, initial, text);
            if (kept && on.report.ended == outcome::unknown)
                CHECK(on.disk.assignments().size() == 1);
        }
    }
    MESSAGE(pairs << " full disks");
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
        if (on.report.ended == outcome::stuck) {
            ++stuck;
            // A module that was loaded is left: what stands of a binding is not.
            const bool binds = std::ranges::any_of(on.last.steps, [](const step_record& each) {
                return each.planned.kind == step_kind::set_binding &&
                       (each.state == step_state::begun || each.state == step_state::applied);
            });
            CHECK(manual_undo(on.last).empty() != binds);
        }
        if (on.report.ended == outcome::rolled_back) CHECK(on.world.devices == initial.devices);
        check_settled(on, initial, "everything hangs from act " + std::to_string(at));
    }
    CHECK(stuck > 0);
}

namespace {

/// Binds, lets `change` happen to the world and to the record, and releases.
template <class Change>
void release_after(bench& on, Change change) {
    bind_first(on);
    change(on.disk.rows.at(on.disk.assignments().front().number));
    REQUIRE(on.run(release));
}

std::string told(const bench& on) {
    std::string text;
    for (const auto& step : on.last.steps)
        text += field(step.findings, "told") + "\n";
    return text;
}

bool says(const bench& on, const char* words) {
    return told(on).find(words) != std::string::npos;
}

} // namespace

TEST_CASE("another card in that place is not touched, and told") {
    bench on;
    release_after(on, [&](operation_record&) {
        auto& card = on.world.devices.at(left);
        card.device_id = "0x100e";
        card.driver = "its-own";
        card.driver_override = "its-own";
    });
    CHECK(on.report.ended == outcome::done);
    CHECK(on.world.devices.at(left).driver == "its-own");
    CHECK(on.world.devices.at(left).driver_override == "its-own");
    CHECK(says(on, "another card"));
    CHECK(on.world.devices.at(right).driver == "e1000");
    CHECK(on.disk.assignments().empty());
}

TEST_CASE("another card of the same kind keeps the address of its own") {
    bench on;
    release_after(on, [&](operation_record&) {
        auto& card = on.world.devices.at(left);
        card.netdevs.front().permanent_mac = "52:54:00:99:99:99";
        come_back(on, left);
    });
    CHECK(on.report.ended == outcome::done);
    CHECK(on.world.devices.at(left).netdevs.front().mac == "52:54:00:99:99:99");
    CHECK(on.world.devices.at(left).netdevs.front().name == "eth3");
    CHECK(says(on, "52:54:00:aa:aa:03"));
}

TEST_CASE("a record of an earlier vmplug brings the driver and the first name back") {
    bench on;
    // The module is called otherwise than its driver, as of xhci_hcd: the device itself says it.
    on.world.installed = {{"e1000_pci", "e1000"}, {"vfio-pci", "vfio-pci"}};
    on.world.devices.at(left).netdevs.resize(1);
    release_after(on, [&](operation_record& record) {
        for (auto& step : record.steps)
            for (const char* name : {"netdevs", "module", "ids"})
                step.prior_state.erase(name);
        on.world.loaded.erase("e1000");
    });
    CHECK(on.report.ended == outcome::done);
    CHECK(on.world.devices.at(left).driver == "e1000");
    CHECK(on.world.devices.at(left).netdevs.front().name == "eth3");
}

TEST_CASE("a module that is called otherwise than its driver is loaded by its name") {
    bench on;
    on.world.installed = {{"e1000_pci", "e1000"}, {"vfio-pci", "vfio-pci"}};
    const auto before = on.world.devices;
    release_after(on, [&](operation_record& record) {
        CHECK(record.steps.back().prior_state.at("module") == "e1000_pci");
        on.world.loaded.erase("e1000");
    });
    CHECK(on.report.ended == outcome::done);
    CHECK(on.world.devices == before);
}

TEST_CASE("a driver that cannot come back is a refusal, before anything is touched") {
    bench on;
    release_after(on, [&](operation_record&) {
        on.world.loaded.erase("e1000");
        on.world.installed.erase("e1000");
    });
    CHECK(on.report.ended == outcome::refused);
    CHECK(on.last.failure->code == error_code::driver_unavailable);
    CHECK(on.world.devices.at(left).driver == "vfio-pci");
    CHECK(on.world.devices.at(left).driver_override == "vfio-pci");
}

TEST_CASE("two ports of one function that have each other's names are told apart") {
    bench on;
    auto& ports = on.world.devices.at(left).netdevs;
    // The kernel will give them these very names, the other way round.
    ports[0].name = "eth92";
    ports[1].name = "eth91";
    ports[1].home = 0;
    const auto before = on.world.devices;
    release_after(on, [](operation_record&) {});
    CHECK(on.report.ended == outcome::done);
    CHECK(on.world.devices == before);
}

TEST_CASE("a namespace that is gone is told, and so is a name that somebody else has") {
    bench on;
    release_after(on, [&](operation_record&) {
        on.world.namespaces.clear();
        on.world.devices["0000:05:00.0"] = {
            "other", {{"eth3", "52:54:00:00:00:55"}}, 12, "other", ""};
    });
    CHECK(on.report.ended == outcome::done);
    CHECK(says(on, "the network namespace pod that it was in is gone"));
    CHECK(says(on, "another interface has the name eth3"));
    CHECK(on.world.devices.at(left).netdevs.front().mtu == 9000);
    CHECK(on.world.devices.at(left).netdevs.back().home == 0);
}

TEST_CASE("nothing is done with a record whose fields are not what they have to be") {
    const std::pair<const char*, const char*> values[] = {
        {"driver", "../../../run/evil"},
        {"driver", ".."},
        {"driver", "a/b"},
        {"driver_override", "e1000\nx"},
        {"driver_override", "$(reboot)"},
        {"module", "-C"},
        {"module", "../x"},
        {"netdev", "a b"},
        {"netdev", "a/b"},
        {"netdevs", "{}x"},
        {"netdevs", R"([{"name":"../x"}])"},
        {"ids", "8086:10d3;"},
    };
    for (const auto& [name, value] : values) {
        CAPTURE(name);
        CAPTURE(value);
        bench on;
        bind_first(on);
        // A release that was left open, at its begin or in the middle.
        on.world.faults.plan_fault(1, fault::dies_before);
        REQUIRE_FALSE(on.run(release));
        const auto open = on.disk.open();
        REQUIRE(open.size() == 1);
        for (const auto state : {step_state::planned, step_state::begun})
            for (const bool prior : {false, true}) {
                auto row = open.front();
                row.steps.front().state = state;
                auto& forged =
                    prior ? row.steps.front().prior_state : row.steps.front().planned.arguments;
                forged[name] = value;
                on.disk.rows[row.number] = row;
                CHECK(check_record(row).error().code == error_code::journal_corrupt);
                CHECK(manual_undo(row).empty());
                const int acts = on.world.faults.count();
                REQUIRE(on.recover());
                CHECK(on.reports.front().refusals.front().code == error_code::journal_corrupt);
                CHECK(on.world.faults.count() == acts);
            }
    }
}

TEST_CASE("a record's subject is checked too") {
    for (const auto& [name, value] : {std::pair{"device", "0000:01:00.0/../x"},
                                      {"device", ""},
                                      {"id", "x\",\"bus"},
                                      {"guest_pid", "-1"},
                                      {"guest_start", "x"},
                                      {"boot_id", "../x"}}) {
        CAPTURE(name);
        operation_record record;
        record.subject["device"] = left;
        CHECK(check_record(record).has_value());
        record.subject[name] = value;
        CHECK(check_record(record).error().code == error_code::journal_corrupt);
    }
}
