// Every act of every operation goes wrong in every way; then `recover`; then the invariants.

#include "controller/run_operation.hpp"
#include "controller/step_kind.hpp"
#include "plan/plan_attach.hpp"
#include "plan/plan_return.hpp"
#include "support/fake_world.hpp"

#include <vmplug/controller.hpp>

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
    bench() : directory_(new_directory()), journal_(*journal::open(directory_)) {
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
    std::set<std::string> came_back; ///< without vmplug: new devices, on their own drivers

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

/// Removed and scanned for again: as the kernel finds a new device.
void come_back(bench& on, const std::string& address) {
    auto& device = on.world.devices.at(address);
    device.driver_override.clear();
    device.driver.clear();
    on.world.attach_driver(device, device.native_driver);
    on.came_back.insert(address);
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
    {"release after the host driver's module was removed",
     [](bench& on) {
         bind_first(on);
         on.world.loaded.erase("e1000");
     },
     plan_release_of},
    {"release of a device that has left the machine",
     [](bench& on) {
         bind_first(on);
         on.world.devices.erase(left);
     },
     plan_release_of},
    {"release of a device that has left and come back",
     [](bench& on) {
         bind_first(on);
         come_back(on, left);
     },
     plan_release_of},
    {"detach of a device that has left the machine",
     [](bench& on) {
         attach_first(on);
         on.world.guests["web"].devices.clear();
         on.world.devices.erase(left);
     },
     plan_detach_of},
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
        for (const auto& [address, device] : on.world.devices)
            CHECK(device == initial.devices.at(address));
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

namespace {

/// Binds, lets `change` happen to the world and to the record, and releases.
template <class Change>
void release_after(bench& on, Change change) {
    bind_first(on);
    auto bound = on.records().load_assignments()->front();
    change(bound);
    REQUIRE(on.records().save(bound).has_value());
    REQUIRE(on.run(operation_machine(plan_release_of(on))));
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
    CHECK(on.last.ended == outcome::done);
    CHECK(on.world.devices.at(left).driver == "its-own");
    CHECK(on.world.devices.at(left).driver_override == "its-own");
    CHECK(says(on, "another card"));
    CHECK(on.world.devices.at(right).driver == "e1000");
    CHECK(on.records().load_assignments()->empty());
}

TEST_CASE("another card of the same kind keeps the address of its own") {
    bench on;
    release_after(on, [&](operation_record&) {
        auto& card = on.world.devices.at(left);
        card.netdevs.front().permanent_mac = "52:54:00:99:99:99";
        come_back(on, left);
    });
    CHECK(on.last.ended == outcome::done);
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
    CHECK(on.last.ended == outcome::done);
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
    CHECK(on.last.ended == outcome::done);
    CHECK(on.world.devices == before);
}

TEST_CASE("a driver that cannot come back is a refusal, before anything is touched") {
    bench on;
    release_after(on, [&](operation_record&) {
        on.world.loaded.erase("e1000");
        on.world.installed.erase("e1000");
    });
    CHECK(on.last.ended == outcome::refused);
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
    CHECK(on.last.ended == outcome::done);
    CHECK(on.world.devices == before);
}

TEST_CASE("a namespace that is gone is told, and so is a name that somebody else has") {
    bench on;
    release_after(on, [&](operation_record&) {
        on.world.namespaces.clear();
        on.world.devices["0000:05:00.0"] = {
            "other", {{"eth3", "52:54:00:00:00:55"}}, 12, "other", ""};
    });
    CHECK(on.last.ended == outcome::done);
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
        auto release = plan_release_of(on);
        release.steps.front().planned.arguments[name] = value;
        CHECK(check_record(release).error().code == error_code::journal_corrupt);
        const int acts = on.world.faults.count();
        // Not even when it is run all the same, from its begin or from the middle.
        REQUIRE(on.run(operation_machine(release)));
        CHECK(on.last.ended == outcome::refused);
        release.steps.front().state = step_state::begun;
        REQUIRE(on.run(operation_machine::resume(release)));
        CHECK(on.world.faults.count() == acts);
        release.steps.front().planned.arguments.erase(name);
        release.steps.front().prior_state[name] = value;
        REQUIRE(on.run(operation_machine::resume(release)));
        CHECK(on.world.faults.count() == acts);
        CHECK(manual_undo(release).empty());
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
