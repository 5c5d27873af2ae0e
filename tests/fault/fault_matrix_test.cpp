// Every act of every operation goes wrong in every way; then `recover`; then the invariants.

#include "controller/run_operation.hpp"
#include "plan/plan_attach.hpp"
#include "plan/plan_return.hpp"
#include "support/fake_world.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <filesystem>
#include <set>

#include <unistd.h>

using namespace vmplug;
using namespace vmplug::testing;

namespace {

const std::string left = "0000:04:01.0";
const std::string right = "0000:04:02.0";

/// A world with two neighbours in one group, a journal, and a way to run operations in it.
class bench {
public:
    bench() : directory_(new_directory()), journal_(std::move(*journal::open(directory_))) {
        world.devices[left] = {"e1000", "eth3", 11, "e1000", ""};
        world.guests["web"].identity = {"boot", 77, 1};
        world.devices[right] = {"e1000", "eth4", 11, "e1000", "e1000"};
    }
    ~bench() { std::filesystem::remove_all(directory_); }
    bench(const bench&) = delete;
    bench& operator=(const bench&) = delete;

    fake_world world;

    journal& records() { return journal_; }

    /// Runs until it ends or the process dies. Returns whether it lived.
    bool run(operation_machine machine, const run_observer& observer = {}) {
        fake_host host(world);
        fake_guest link(world, "web");
        step_context context{host, {}, {"boot", 77, 1}, {}, {}};
        // Time is of no interest here: a guest that does not let go is asked once.
        context.guest_deadline = std::chrono::milliseconds(0);
        context.guest = [&]() -> boost::asio::awaitable<result<guest_link*>> {
            co_return static_cast<guest_link*>(&link);
        };
        boost::asio::io_context io;
        bool lived = true;
        auto work = [&]() -> boost::asio::awaitable<void> {
            try {
                co_await run_operation(machine, journal_, context, observer);
            } catch (const process_death&) {
                lived = false;
            }
        };
        boost::asio::co_spawn(io, work, [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        io.run();
        if (lived) last = machine.record();
        return lived;
    }

    bool recover() {
        auto open = journal_.load_open();
        REQUIRE(open.has_value());
        for (auto& record : *open)
            if (!run(operation_machine::resume(std::move(record)))) return false;
        return true;
    }

    operation_record last;

private:
    static std::string new_directory() {
        static int number = 0;
        return "/dev/shm/vmplug-fault-" + std::to_string(::getpid()) + "-" +
               std::to_string(++number);
    }

    std::string directory_;
    journal journal_;
};

/// The facts that planning sees of the fake world.
struct facts {
    host_facts host;
    guest_facts guest;
    qemu_process qemu;

    explicit facts(const fake_world& world) {
        host.iommu.enabled = true;
        host.modules["vfio-pci"] =
            world.loaded.contains("vfio-pci") ? module_state::loaded : module_state::available;
        for (const auto& [address, device] : world.devices) {
            auto& function = host.functions.emplace_back();
            function.address = *parse_host_address(address);
            function.driver = device.driver;
            function.iommu_group = device.group;
        }
        auto& port = guest.ports.emplace_back();
        port.bus = "rp0";
        port.takes_hot_add = port.single_slot = true;
        guest.running = true;
        guest.vfio_pci = device_model{"vfio-pci", {}};
        qemu.identity = {"boot", 77, 1};
        qemu.memlock_soft_bytes = world.guests.at("web").memlock.soft_bytes;
    }
    situation seen() { return {host, guest, qemu, "qmp:/run/web", {}, {}}; }
};

operation_record to_record(operation_kind kind, const plan& made) {
    REQUIRE(made.refusals.empty());
    return make_record(kind, made);
}

operation_record plan_attach_of(bench& on) {
    facts known(on.world);
    attach_request request;
    request.device = *parse_host_address(left);
    request.id = "nic0";
    request.with_group = true;
    request.wait_guest = std::chrono::milliseconds(1);
    return to_record(operation_kind::attach, plan_attach(request, known.seen()));
}

operation_record plan_detach_of(bench& on) {
    const auto assigned = on.records().load_assignments();
    REQUIRE(assigned.has_value());
    REQUIRE(assigned->size() == 1);
    facts known(on.world);
    detach_request request;
    request.id = "nic0";
    request.wait_guest = std::chrono::milliseconds(0);
    auto record =
        to_record(operation_kind::detach, plan_detach(request, assigned->front(), known.seen()));
    record.releases = assigned->front().number;
    return record;
}

operation_record plan_bind_of(bench& on) {
    facts known(on.world);
    bind_request request;
    request.device = *parse_host_address(left);
    request.with_group = true;
    return to_record(operation_kind::bind, plan_bind(request, known.seen()));
}

operation_record plan_bind_by_new_id_of(bench& on) {
    facts known(on.world);
    bind_request request;
    request.device = *parse_host_address(left);
    request.with_group = true;
    request.binding = binding_way::new_id;
    return to_record(operation_kind::bind, plan_bind(request, known.seen()));
}

operation_record plan_release_of(bench& on) {
    const auto assigned = on.records().load_assignments();
    REQUIRE(assigned.has_value());
    REQUIRE(assigned->size() == 1);
    facts known(on.world);
    auto record = to_record(operation_kind::release, plan_release(assigned->front(), known.seen()));
    record.releases = assigned->front().number;
    return record;
}

/// One operation to be disturbed: how to get to its begin, and its record.
struct scenario {
    const char* name;
    void (*prepare)(bench&);
    operation_record (*begin)(bench&);
};

void bind_first(bench& on) {
    REQUIRE(on.run(operation_machine(plan_bind_of(on))));
    REQUIRE(on.last.ended == outcome::done);
}

void bind_by_new_id_first(bench& on) {
    REQUIRE(on.run(operation_machine(plan_bind_by_new_id_of(on))));
    REQUIRE(on.last.ended == outcome::done);
}

void attach_first(bench& on) {
    REQUIRE(on.run(operation_machine(plan_attach_of(on))));
    REQUIRE(on.last.ended == outcome::done);
}

const scenario scenarios[] = {
    {"attach with group", [](bench&) {}, plan_attach_of},
    {"attach that QEMU refuses", [](bench& on) { on.world.guests["web"].refuses = true; },
     plan_attach_of},
    {"attach that the guest rejects", [](bench& on) { on.world.guests["web"].rejects = true; },
     plan_attach_of},
    {"detach", attach_first, plan_detach_of},
    {"bind", [](bench&) {}, plan_bind_of},
    {"bind by new_id", [](bench&) {}, plan_bind_by_new_id_of},
    {"release", bind_first, plan_release_of},
    {"release of what new_id bound", bind_by_new_id_first, plan_release_of},
    {"detach from a paused guest",
     [](bench& on) {
         attach_first(on);
         on.world.guests["web"].paused = true;
     },
     plan_detach_of},
    {"detach from a dead QEMU",
     [](bench& on) {
         attach_first(on);
         on.world.end(on.world.guests["web"]);
     },
     plan_detach_of},
};

/// What is true whatever went wrong, once everything is settled.
void check_settled(bench& on, const fake_world& before, const std::string& what) {
    CAPTURE(what);
    on.world.faults.clear();
    on.world.guests["web"].paused = false;
    on.world.guests["web"].rejects = false;
    // A pending unplug completes when the guest runs again.
    for (int i = 0; i < 3; ++i)
        REQUIRE(on.recover());
    const auto open = on.records().load_open();
    REQUIRE(open.has_value());
    CHECK(open->empty());
    // A driver that still knew the ids would take the next device of that kind.
    CHECK(on.world.told.empty());
    const auto assigned = on.records().load_assignments();
    REQUIRE(assigned.has_value());
    const bool away = !assigned->empty();
    const bool to_guest = away && assigned->front().kind == operation_kind::attach;
    CHECK(on.world.guests["web"].devices.size() ==
          (on.world.guests["web"].runs && to_guest ? 1 : 0));
    for (const auto& [address, device] : on.world.devices) {
        CAPTURE(address);
        if (away)
            CHECK(device.driver == "vfio-pci");
        else
            CHECK(device == before.devices.at(address));
    }
    // The limit of a process that has ended is nobody's.
    if (on.world.guests["web"].runs)
        CHECK((on.world.guests.at("web").memlock.soft_bytes ==
               before.guests.at("web").memlock.soft_bytes) == !to_guest);
    for (const auto& each : on.world.violations)
        FAIL_CHECK(each);
    const int acts = on.world.faults.count();
    REQUIRE(on.recover());
    CHECK(on.world.faults.count() == acts);
}

/// A verdict tells the truth at the moment at which it is given.
void check_verdict(bench& on, const fake_world& before, const fake_world& initial) {
    if (on.last.ended == outcome::rolled_back || on.last.ended == outcome::refused)
        CHECK(on.world.devices == before.devices);
    if (on.last.ended == outcome::done && on.last.kind == operation_kind::attach)
        CHECK(on.world.guests["web"].devices.size() == 1);
    if (on.last.ended == outcome::done && on.last.kind == operation_kind::detach)
        CHECK(on.world.devices == initial.devices);
}

int count_acts(const scenario& which) {
    bench on;
    which.prepare(on);
    const int begin = on.world.faults.count();
    on.run(operation_machine(which.begin(on)));
    return on.world.faults.count() - begin;
}

fake_world world_at_begin(const scenario& which) {
    bench on;
    which.prepare(on);
    return on.world;
}

} // namespace

TEST_CASE("every act of every operation goes wrong in every way, and recover settles it") {
    const fake_world initial = bench().world;
    int pairs = 0;
    for (const auto& which : scenarios) {
        const auto before = world_at_begin(which);
        const int acts = count_acts(which);
        REQUIRE(acts > 0);
        for (int at = 0; at < acts; ++at)
            for (const auto what : all_faults) {
                ++pairs;
                bench on;
                which.prepare(on);
                auto record = which.begin(on);
                on.world.faults.plan_fault(at, what);
                const bool lived = on.run(operation_machine(std::move(record)));
                const auto text = std::string(which.name) + ", act " + std::to_string(at) +
                                  ", fault " + std::to_string(static_cast<int>(what));
                CAPTURE(text);
                if (lived) check_verdict(on, before, initial);
                check_settled(on, initial, text);
            }
    }
    MESSAGE(pairs << " pairs of act and fault");
    CHECK(pairs > 200);
}

TEST_CASE("the process dies, and dies again while it recovers") {
    const fake_world initial = bench().world;
    int pairs = 0;
    for (const auto& which : scenarios) {
        const int acts = count_acts(which);
        for (int at = 0; at < acts; ++at)
            for (int again = 0; again < 12; ++again)
                for (const auto what : {fault::dies_before, fault::dies_after, fault::fails}) {
                    ++pairs;
                    bench on;
                    which.prepare(on);
                    auto record = which.begin(on);
                    on.world.faults.plan_fault(at, fault::dies_after);
                    on.run(operation_machine(std::move(record)));
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

TEST_CASE("the process dies before each act, after it, and after its record") {
    const fake_world initial = bench().world;
    std::set<std::string> kinds;
    int pairs = 0;
    for (const auto& which : scenarios)
        for (int at = 0; at < 32; ++at)
            for (const bool before : {true, false}) {
                bench on;
                which.prepare(on);
                int count = 0;
                run_observer observer;
                const auto die = [&](const operation_record& record, const action& now) {
                    kinds.insert(record.steps[now.step].planned.kind);
                    if (count++ == at) throw process_death{};
                };
                (before ? observer.before : observer.after) = die;
                if (on.run(operation_machine(which.begin(on)), observer)) break;
                ++pairs;
                check_settled(on, initial,
                              std::string(which.name) + (before ? ", before" : ", after") +
                                  " act " + std::to_string(at));
            }
    MESSAGE(pairs << " boundaries of steps");
    // A kind of step that no scenario has would not be tested.
    for (const auto* kind : step_kinds())
        CHECK(kinds.contains(std::string(kind->name())));
}

TEST_CASE("an undo that does not work is stuck, keeps everything reserved, and is settled later") {
    const fake_world initial = bench().world;
    int stuck = 0;
    const auto& which = scenarios[1];
    const int acts = count_acts(which);
    for (int at = 0; at < acts; ++at) {
        bench on;
        which.prepare(on);
        auto record = which.begin(on);
        for (int more = at; more < acts + 20; ++more)
            on.world.faults.plan_fault(more, fault::never_arrived);
        REQUIRE(on.run(operation_machine(std::move(record))));
        if (on.last.ended == outcome::stuck) ++stuck;
        if (on.last.ended == outcome::rolled_back) CHECK(on.world.devices == initial.devices);
        check_settled(on, initial, "everything hangs from act " + std::to_string(at));
    }
    CHECK(stuck > 0);
}
