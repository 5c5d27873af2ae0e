// Whole runs from a seed: two controllers, two guests, four devices, and everything goes wrong.
//
//   VMPLUG_SIM_RUNS=N    how many runs (default 3000; a night: 1000000)
//   VMPLUG_SIM_SEED=N    the first seed; with VMPLUG_SIM_RUNS=1 it replays one run exactly

#include "controller/run_operation.hpp"
#include "plan/plan_attach.hpp"
#include "plan/plan_return.hpp"
#include "support/fake_world.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

#include <unistd.h>

using namespace vmplug;
using namespace vmplug::testing;

namespace {

namespace asio = boost::asio;
using asio::awaitable;

constexpr int operations_max = 6; ///< of each controller in one run

std::uint64_t number_from(const char* name, std::uint64_t fallback) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : fallback;
}

/// One run: the world, the journal that both controllers share, the leases, and chance.
class simulation {
public:
    simulation(std::uint64_t seed, journal& records) : random_(seed), records_(records) {
        world_.devices["0000:01:00.0"] = {
            "e1000e", {{"eth1", "52:54:00:00:00:01", "52:54:00:00:00:01", 9000}}, 9, "e1000e", ""};
        world_.devices["0000:02:00.0"] = {
            "e1000e",
            {{"eth2", "52:54:00:00:00:02"},
             {"eth5", "52:54:00:00:00:05", "52:54:00:bb:bb:05", 1500, {"lan5"}, 77}},
            10,
            "e1000e",
            "e1000e"};
        world_.devices["0000:04:01.0"] = {
            "e1000", {{"eth3", "52:54:00:00:00:03"}}, 11, "e1000", ""};
        world_.devices["0000:04:02.0"] = {
            "e1000", {{"eth4", "52:54:00:00:00:04"}}, 11, "e1000", ""};
        // Other runs have used the same journal: each guest is a process of its own.
        for (const char* name : {"web", "db"})
            world_.guests[name].identity = {"boot", name[0] == 'w' ? 77 : 78, seed + 1};
        initial_ = world_;
        world_.pause = [this] { return wait_a_little(); };
    }

    /// Returns what is wrong, empty when nothing is.
    std::string run() {
        asio::io_context io;
        for (int i = 0; i < 2; ++i)
            asio::co_spawn(io, control(), [this](std::exception_ptr failure) {
                if (failure) note("an exception left a controller");
            });
        io.run();
        asio::io_context afterwards;
        asio::co_spawn(afterwards, calm_down(), [this](std::exception_ptr failure) {
            if (failure) note("an exception left the recovery");
        });
        afterwards.run();
        check();
        return wrong_;
    }

    /// What happened, line by line.
    const std::string& story() const { return story_; }
    int operations() const { return operations_; }
    int deaths() const { return deaths_; }

private:
    std::size_t chance(std::size_t count) { return random_() % count; }
    bool one_in(std::size_t count) { return chance(count) == 0; }
    void note(const std::string& text) {
        if (wrong_.empty()) wrong_ = text;
    }

    void tell(const std::string& text) { story_ += "\n  " + text; }

    awaitable<void> wait_a_little() {
        for (auto turns = chance(4); turns > 0; --turns)
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    }

    const std::string& any_device() {
        return std::next(world_.devices.begin(), static_cast<long>(chance(4)))->first;
    }
    std::string any_guest() { return one_in(2) ? "web" : "db"; }

    /// What happens to a guest by itself.
    void disturb() {
        const auto name = any_guest();
        auto& guest = world_.guests[name];
        const auto what = chance(12);
        if (what < 7) tell(name + " is disturbed: " + std::to_string(what));
        switch (what) {
        case 0:
            guest.paused = !guest.paused;
            break;
        case 1:
            guest.rejects = !guest.rejects;
            break;
        case 2:
            guest.refuses = !guest.refuses;
            break;
        case 3:
            world_.end(guest);
            break;
        case 4:
            // Another QEMU of that name: another process.
            if (!guest.runs) {
                guest.identity.start_time += 1000;
                guest.memlock = {65536, 65536};
                guest.runs = true;
            }
            break;
        case 5:
            if (!guest.devices.empty() && !guest.paused) guest.devices.erase(guest.devices.begin());
            break;
        case 6:
            remove_module(one_in(2) ? "e1000" : "e1000e");
            break;
        default:
            break;
        }
    }

    /// modprobe -r: its devices are without a driver then.
    void remove_module(const std::string& driver) {
        const auto has_it = [&](const auto& each) { return each.second.driver == driver; };
        if (std::ranges::none_of(world_.devices, has_it)) world_.loaded.erase(driver);
    }

    void maybe_plan_fault() {
        if (!one_in(3)) return;
        world_.faults.plan_fault(static_cast<int>(chance(8)),
                                 all_faults[chance(std::size(all_faults))]);
    }

    /// One person, or script, that does this and that.
    awaitable<void> control() {
        for (int i = 0; i < operations_max; ++i) {
            disturb();
            maybe_plan_fault();
            const auto what = chance(8);
            if (what < 4)
                co_await attach(any_device(), any_guest());
            else if (what < 7)
                co_await detach();
            else
                co_await recover();
        }
    }

    bool lease(const std::string& key) { return leases_.insert(key).second; }

    std::string group_key(const std::string& device) const {
        return "group-" + std::to_string(world_.devices.at(device).group);
    }

    situation look(const std::string& name) {
        situation seen;
        auto& host = seen.host;
        auto& guest = seen.guest;
        auto& qemu = seen.qemu;
        auto& monitor = seen.monitor;
        auto& assigned = seen.assigned;
        auto& open = seen.open;
        host.iommu.enabled = true;
        host.modules["vfio-pci"] =
            world_.loaded.contains("vfio-pci") ? module_state::loaded : module_state::available;
        for (const auto& [address, device] : world_.devices) {
            auto& function = host.functions.emplace_back();
            function.address = *parse_host_address(address);
            function.driver = device.driver;
            function.iommu_group = device.group;
            for (const auto& [other, state] : world_.guests)
                for (const auto& [id, held] : state.devices)
                    if (world_.devices.at(held).group == device.group)
                        host.group_users[device.group] = {{state.identity.pid, other}};
        }
        const auto& state = world_.guests.at(name);
        guest.name = name;
        guest.running = true;
        guest.vfio_pci = device_model{"vfio-pci", {}};
        for (int i = 0; i < 4; ++i) {
            auto& port = guest.ports.emplace_back();
            port.bus = "rp" + std::to_string(i);
            port.takes_hot_add = true;
        }
        for (const auto& [id, held] : state.devices) {
            auto& device = guest.devices.emplace_back();
            device.qdev_id = id;
            device.host = held;
        }
        qemu.emplace();
        qemu->identity = state.identity;
        qemu->memlock_soft_bytes = state.memlock.soft_bytes;
        monitor = "qmp:/run/" + name;
        assigned = *records_.load_assignments();
        open = *records_.load_open();
        return seen;
    }

    awaitable<void> drive(operation_machine machine, std::string guest_name) {
        fake_host host(world_);
        fake_guest link(world_, guest_name);
        step_context context{host, {}, {}, {}, {}};
        const auto& subject = machine.record().subject;
        context.qemu = guest_process(machine.record());
        context.guest_deadline = std::chrono::milliseconds(0);
        // A new QEMU of the same name is not the guest that the operation knows.
        context.guest = [&]() -> awaitable<result<guest_link*>> {
            const auto* same = world_.find(context.qemu);
            if (!same || !same->runs)
                co_return error{error_code::no_monitor, "QMP", "nobody listens", {}};
            co_return static_cast<guest_link*>(&link);
        };
        ++operations_;
        const auto who = std::string(kind_name(machine.record().kind)) + " " +
                         field(subject, "device") + " " + guest_name + " #" +
                         std::to_string(operations_);
        tell(who + " begins");
        run_observer watching;
        watching.after = [&](const operation_record& record, const action& now) {
            const auto& step = record.steps[now.step];
            tell(who + (now.kind == action_kind::revert ? ": undid " : ": did ") +
                 step.planned.kind + " " + field(step.planned.arguments, "device"));
        };
        try {
            co_await run_operation(machine, records_, context, watching);
        } catch (const process_death&) {
            tell(who + " dies");
            ++deaths_;
            world_.faults.clear();
            co_return;
        }
        tell(who + ": " + std::string(outcome_name(machine.verdict())));
        verify(machine.record());
    }

    /// A verdict has to be true when it is given.
    void verify(const operation_record& record) {
        const auto& device = field(record.subject, "device");
        const bool there = world_.is_in_guest(device);
        const bool done = record.ended == outcome::done;
        const bool attach = record.kind == operation_kind::attach;
        if (record.ended == outcome::rolled_back && there && attach)
            note("rolled back, but the guest has the device");
        if (done && !attach && there) note("detached, but a guest has the device");
    }

    /// Both leases or none.
    bool take(const std::string& device, const std::string& guest) {
        if (!lease(group_key(device))) return false;
        if (lease(guest)) return true;
        leases_.erase(group_key(device));
        return false;
    }
    void give_back(const std::string& device, const std::string& guest) {
        leases_.erase(group_key(device));
        leases_.erase(guest);
    }

    awaitable<void> attach(std::string device, std::string guest) {
        if (!world_.guests[guest].runs || !take(device, guest)) co_return;
        const auto seen = look(guest);
        attach_request request;
        request.device = *parse_host_address(device);
        request.id = "dev" + std::to_string(world_.devices.at(device).group) + device.substr(8, 2);
        request.with_group = true;
        request.wait_guest = std::chrono::milliseconds(1);
        const auto made = plan_attach(request, seen);
        if (made.refusals.empty()) {
            operation_machine machine(make_record(operation_kind::attach, made));
            co_await drive(std::move(machine), guest);
        }
        give_back(device, guest);
    }

    awaitable<void> take_home(operation_record attached) {
        const auto device = field(attached.subject, "device");
        const auto guest = field(attached.subject, "guest");
        if (!take(device, guest)) co_return;
        const auto seen = look(guest);
        const auto leaving = [&](const operation_record& each) {
            return each.releases == attached.number;
        };
        const auto still =
            std::ranges::find(seen.assigned, attached.number, &operation_record::number);
        if (still != seen.assigned.end() && std::ranges::none_of(seen.open, leaving))
            co_await detach_now(*still, seen, guest);
        give_back(device, guest);
    }

    awaitable<void> detach_now(operation_record attached, situation seen, std::string guest) {
        if (find_unsettled(seen, field(attached.subject, "device"))) co_return;
        for (auto& heir : hand_over(attached, seen))
            if (records_.save(heir).has_error()) co_return;
        detach_request request;
        request.id = field(attached.subject, "id");
        request.wait_guest = std::chrono::milliseconds(0);
        auto record = make_record(operation_kind::detach, plan_detach(request, attached, seen));
        record.releases = attached.number;
        operation_machine machine(std::move(record));
        co_await drive(std::move(machine), std::move(guest));
    }

    awaitable<void> detach() {
        auto assigned = *records_.load_assignments();
        if (assigned.empty()) co_return;
        co_await take_home(std::move(assigned[chance(assigned.size())]));
    }

    awaitable<void> recover() {
        for (const auto& found : *records_.load_open()) {
            const auto device = field(found.subject, "device");
            const auto guest = field(found.subject, "guest");
            if (!take(device, guest)) continue;
            auto record = *records_.load(found.number);
            if (record.state != operation_state::closed) {
                auto machine = operation_machine::resume(std::move(record));
                co_await drive(std::move(machine), guest);
            }
            give_back(device, guest);
        }
        for (auto& attached : *records_.load_assignments()) {
            const auto* guest = world_.find(guest_process(attached));
            const bool has_it =
                guest && guest->runs && guest->devices.contains(field(attached.subject, "id"));
            if (!has_it) co_await take_home(std::move(attached));
        }
    }

    /// The faults end; what is unfinished is settled; everything goes home.
    awaitable<void> calm_down() {
        world_.faults.clear();
        for (auto& [name, guest] : world_.guests)
            guest.paused = guest.rejects = guest.refuses = false;
        leases_.clear();
        for (int i = 0; i < 3; ++i)
            co_await recover();
        if (!records_.load_open()->empty()) note("an operation stays open");
        for (const auto& attached : *records_.load_assignments())
            if (!world_.is_in_guest(field(attached.subject, "device")))
                note("assigned, but in no guest");
        // A guest lets go a moment after it was asked, and neighbours wait for each other.
        for (int i = 0; i < 4; ++i) {
            for (auto& attached : *records_.load_assignments())
                co_await take_home(std::move(attached));
            co_await recover();
        }
    }

    void check() {
        if (!world_.violations.empty()) note(world_.violations.front());
        for (const auto& [name, guest] : world_.guests)
            if (!guest.devices.empty()) note("a guest has a device that nobody assigned");
        if (world_.devices != initial_.devices) note("a device is not as it was");
        for (const auto& [name, guest] : world_.guests)
            if (guest.runs && guest.memlock.soft_bytes != 65536) note("a limit is not as it was");
        if (!records_.load_assignments()->empty()) note("something is still assigned");
    }

    std::mt19937_64 random_;
    journal& records_;
    fake_world world_;
    fake_world initial_;
    std::set<std::string> leases_;
    std::string wrong_;
    std::string story_;
    int operations_ = 0;
    int deaths_ = 0;
};

/// A journal in memory-backed storage, new every few runs so that it stays small.
class journals {
public:
    ~journals() { std::filesystem::remove_all(directory_); }
    journal& at(std::uint64_t run) {
        if (!journal_ || run % 20 == 0) {
            journal_.reset();
            std::filesystem::remove_all(directory_);
            journal_.emplace(*journal::open(directory_));
        }
        return *journal_;
    }

private:
    std::string directory_ = "/dev/shm/vmplug-sim-" + std::to_string(::getpid());
    std::optional<journal> journal_;
};

} // namespace

TEST_CASE("two controllers, two guests, four devices, and everything goes wrong") {
    const auto runs = number_from("VMPLUG_SIM_RUNS", 3000);
    const auto first = number_from("VMPLUG_SIM_SEED", 1);
    journals records;
    std::uint64_t violations = 0;
    long operations = 0;
    long deaths = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < runs; ++i) {
        simulation one(first + i, records.at(i));
        const auto wrong = one.run();
        operations += one.operations();
        deaths += one.deaths();
        if (wrong.empty()) continue;
        ++violations;
        FAIL_CHECK("VMPLUG_SIM_RUNS=1 VMPLUG_SIM_SEED=" << first + i << ": " << wrong
                                                        << one.story());
        if (violations == 10) break;
        records.at(0);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    MESSAGE(runs << " runs, " << operations << " operations, " << deaths << " deaths, "
                 << violations << " violations, "
                 << static_cast<long>(static_cast<double>(runs) / took.count() * 60)
                 << " runs a minute");
}
