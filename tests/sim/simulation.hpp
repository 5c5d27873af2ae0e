#pragma once

#include "engine/use_case.hpp"
#include "support/simulated_world.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <random>
#include <set>

namespace vmplug::testing {

/// What is counted over all runs.
struct tally {
    std::map<outcome, long> ended;
    long operations = 0;
    long deaths = 0;
    long repeats = 0;
    long stops = 0;
    long power_cuts = 0;
};

/// One run: the world, the disk and the locks that the processes share, and chance.
class simulation {
public:
    static constexpr int processes = 2;
    static constexpr int callers_each = 2;
    static constexpr int operations_each = 4;

    explicit simulation(std::uint64_t seed, mutation broken = mutation::none)
        : random_(seed), broken_(broken) {
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
        world_.guests["web"].identity = {"boot", 77, 1};
        world_.guests["db"].identity = {"boot", 78, 1};
        initial_ = world_.devices;
        world_.latency = [this] { return std::chrono::milliseconds(chance(20)); };
        disk_.keeps_last = [this] { return one_in(2); };
        if (one_in(2)) world_.udev = [this] { return std::chrono::milliseconds(chance(300)); };
        world_.udev_name = [this](const std::string& mac) { return name_by_udev(mac); };
    }

    /// Returns what is wrong, empty when nothing is.
    std::string run() {
        for (int i = 0; i < processes; ++i)
            for (int j = 0; j < callers_each; ++j)
                spawn(call_all_day(static_cast<std::size_t>(i)));
        time_.run();
        spawn(calm_down());
        time_.run();
        check();
        return wrong_;
    }

    /// What happened, line by line.
    const std::string& story() const { return story_; }
    const tally& counted() const { return tally_; }

private:
    std::size_t chance(std::size_t count) { return random_() % count; }
    bool one_in(std::size_t count) { return chance(count) == 0; }
    void note(const std::string& text) {
        if (wrong_.empty()) wrong_ = text;
    }
    void tell(const std::string& text) {
        story_ += "\n  " + std::to_string(time_.elapsed().count()) + " ms: " + text;
    }

    void spawn(boost::asio::awaitable<void> what) {
        boost::asio::co_spawn(io_, std::move(what), [this](std::exception_ptr failure) {
            if (!failure) return;
            try {
                std::rethrow_exception(failure);
            } catch (const process_death&) {
                note("a death left its caller");
            } catch (const std::exception& thrown) {
                note(std::string("an exception left the engine: ") + thrown.what());
            }
        });
    }

    /// The one that runs under that number now: a dead one is started again.
    std::shared_ptr<simulated_process> process(std::size_t number) {
        auto& now = processes_[number];
        if (!now || !now->is_alive())
            now = std::make_shared<simulated_process>(world_, disk_, locks_, ++started_, broken_);
        return now;
    }

    const std::string& any_device() {
        return std::next(initial_.begin(), static_cast<long>(chance(4)))->first;
    }
    std::string any_guest() { return one_in(2) ? "web" : "db"; }
    /// By its name, or by the address of its monitor.
    std::string any_guest_as_written() { return (one_in(4) ? "qmp:/run/" : "") + any_guest(); }

    /// The name that the host has always given it, which may be the one that a record wants, or one
    /// of udev's making.
    std::string name_by_udev(const std::string& mac) {
        for (const auto& [address, device] : initial_)
            for (const auto& each : device.netdevs)
                if (each.permanent_mac == mac && one_in(2)) return each.name;
        return "enx" + mac.substr(9, 2) + mac.substr(12, 2) + mac.substr(15, 2);
    }

    /// How a device is when the host has set it up by itself: after a boot, or when it was plugged.
    fake_world::device_state as_set_up(const std::string& address) const {
        auto device = initial_.at(address);
        device.driver_override.clear();
        for (auto& each : device.netdevs)
            each.home = 0;
        return device;
    }

    /// What happens to guests and modules by themselves.
    void disturb() {
        const auto name = any_guest();
        auto& guest = world_.guests[name];
        const auto what = chance(30);
        if (what < 23) tell(name + " is disturbed: " + std::to_string(what));
        switch (what) {
        case 0:
            world_.set_paused(guest, !guest.paused);
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
        case 20:
        case 21:
            for (auto& [other, each] : world_.guests)
                start_again(each);
            break;
        case 5:
            // It gives something back by itself.
            if (!guest.devices.empty() && !guest.paused) {
                guest.leaving.insert(guest.devices.begin()->first);
                world_.let_go(guest);
            }
            break;
        case 6:
            remove_module(one_in(2) ? "e1000" : "e1000e");
            break;
        case 7:
            guest.keeps = !guest.keeps;
            break;
        case 8:
            world_.reset(guest, std::chrono::milliseconds(chance(2000)));
            break;
        case 9:
        case 10:
            freeze(name);
            break;
        case 11:
            pull_out(any_device());
            break;
        case 12:
        case 22:
            for (const auto& [address, device] : initial_)
                plug_in(address);
            break;
        case 13:
            somebody_loads(one_in(3) ? "vfio-pci" : one_in(2) ? "e1000" : "e1000e");
            break;
        case 14:
            world_.autoprobe = !world_.autoprobe;
            break;
        case 15:
            if (one_in(3)) cut_power();
            break;
        case 16:
            // QEMU locks the guest's memory meanwhile.
            guest.add_takes =
                std::chrono::milliseconds(guest.add_takes.count() > 0 ? 0 : chance(300));
            break;
        case 17:
            guest.by_paths = !guest.by_paths;
            break;
        case 18:
            guest.uid = one_in(3) ? 64055 : 0;
            break;
        case 19:
            remove_module("vfio-pci");
            break;
        default:
            break;
        }
    }

    /// SIGSTOP, and mostly SIGCONT.
    void freeze(const std::string& name) {
        auto& guest = world_.guests[name];
        if (!guest.runs || guest.frozen) return;
        guest.frozen = true;
        if (one_in(8)) return;
        time_.later(std::chrono::milliseconds(chance(one_in(6) ? 60'000 : 1000)),
                    [this, name, who = guest.identity] {
                        auto& now = world_.guests[name];
                        if (now.identity == who && now.frozen) world_.thaw(now);
                    });
    }

    void pull_out(const std::string& address) {
        if (!world_.devices.contains(address)) return;
        tell(address + " leaves the machine");
        (void)world_.pull_out(address);
        renewed_.insert(address);
    }

    void plug_in(const std::string& address) {
        if (world_.devices.contains(address)) return;
        tell(address + " comes back");
        const bool is_owned = world_.group_in_guest(initial_.at(address).group);
        auto& device = world_.devices[address] = as_set_up(address);
        // A kernel since 5.19 gives no host driver a device of a group that VFIO has opened.
        if (is_owned) device.driver.clear();
        if (is_owned) without_driver_.insert(address);
        for (auto& each : device.netdevs)
            each.index = ++world_.named;
        if (!is_owned) world_.loaded.insert(device.driver);
    }

    /// Another program does, or an administrator. The kernel offers it every device that has none.
    void somebody_loads(const std::string& driver) {
        for (const auto& [address, device] : world_.devices)
            if (world_.group_in_guest(device.group)) return;
        world_.load(driver);
    }

    void cut_power() {
        tell("the power is cut");
        for (auto& each : processes_)
            if (each && each->is_alive()) {
                each->lose_power();
                ++tally_.deaths;
            }
        ++tally_.power_cuts;
        world_.faults.clear();
        std::map<std::string, fake_world::device_state> set_up;
        for (const auto& [address, device] : initial_) {
            set_up[address] = as_set_up(address);
            renewed_.insert(address);
        }
        world_.cut_power(set_up);
    }

    /// Another QEMU of that name: another process.
    void start_again(fake_world::guest_state& guest) const {
        if (guest.runs) return;
        guest.identity.start_time += 1000;
        // Another boot gives the same pids at the same times.
        if (std::exchange(guest.identity.boot_id, world_.boot_id) != world_.boot_id)
            guest.identity.start_time = 1;
        guest.boots_until = {};
        guest.memlock = {65536, 65536};
        guest.clients = 0;
        guest.runs = true;
    }

    /// modprobe -r: its devices are without a driver then.
    void remove_module(const std::string& driver) {
        const auto has_it = [&](const auto& each) { return each.second.driver == driver; };
        if (std::ranges::none_of(world_.devices, has_it)) world_.loaded.erase(driver);
    }

    void maybe_plan_fault() {
        if (!one_in(3)) return;
        const auto which = chance(std::size(all_faults) + 1);
        world_.faults.plan_fault(static_cast<int>(chance(12)),
                                 which < std::size(all_faults) ? all_faults[which] : fault::late);
    }

    /// One person, or script, that does this and that.
    boost::asio::awaitable<void> call_all_day(std::size_t number) {
        for (int i = 0; i < operations_each; ++i) {
            co_await time_.wait(std::chrono::milliseconds(chance(200)));
            disturb();
            maybe_plan_fault();
            const auto running = process(number);
            const auto who = "#" + std::to_string(++tally_.operations);
            try {
                co_await call(*running, who);
            } catch (const process_death&) {
                tell(who + " dies");
                if (running->is_alive()) ++tally_.deaths;
                running->die();
                world_.faults.clear();
            }
        }
    }

    operation_options options(const std::string& who) {
        operation_options chosen;
        chosen.progress = [this, who](const std::string& text) { tell(who + " " + text); };
        if (one_in(6)) {
            ++tally_.stops;
            std::stop_source source;
            chosen.stop = source.get_token();
            time_.later(std::chrono::milliseconds(chance(500)),
                        [source]() mutable { source.request_stop(); });
        }
        return chosen;
    }

    boost::asio::awaitable<void> call(simulated_process& in, std::string who) {
        auto chosen = options(who);
        const auto what = chance(10);
        chosen.dry_run = one_in(what > 7 ? 4 : 8);
        if (what < 4) chosen.request_id = any_key();
        if (one_in(6)) chosen.deadline = std::chrono::milliseconds(chance(400));
        use_case running(in.shared(), chosen);
        operation_report report;
        if (what < 4) {
            report = co_await attach(running, who, chosen.request_id);
        } else if (what < 6) {
            report = co_await detach(running, who);
        } else if (what == 6) {
            bind_request request;
            request.with_group = one_in(2);
            const auto device = any_device();
            tell(who + " bind " + device);
            report = co_await running.bind(device, request);
        } else if (what == 7) {
            auto device = any_device();
            for (const auto& each : disk_.assignments())
                if (each.kind == operation_kind::bind) device = field(each.subject, "device");
            tell(who + " release " + device);
            report = co_await running.release(device);
        } else {
            tell(who + (chosen.dry_run ? " recover, dry run" : " recover"));
            const auto reports = co_await running.recover();
            if (reports.has_error()) co_return tell(who + " " + reports.error().text);
            for (const auto& each : *reports)
                judge(who, each);
            co_return;
        }
        judge(who, report);
    }

    /// A caller's key, new or of an earlier request; mostly none.
    std::string any_key() {
        if (!asked_.empty() && one_in(3)) {
            ++tally_.repeats;
            return std::next(asked_.begin(), static_cast<long>(chance(asked_.size())))->first;
        }
        return one_in(2) ? "key" + std::to_string(asked_.size()) : std::string();
    }

    boost::asio::awaitable<operation_report> attach(use_case& running, std::string who,
                                                    std::string key) {
        auto asked = std::pair(any_guest_as_written(), any_device());
        if (!key.empty()) asked = asked_.try_emplace(key, asked).first->second;
        const auto& [guest, device] = asked;
        attach_request request;
        request.id = "dev" + device.substr(5, 2) + device.substr(8, 2);
        // The same key has to ask for the same.
        request.with_group = key.empty() ? one_in(2) : key.back() % 2 == 0;
        request.wait_guest = std::chrono::milliseconds(chance(300));
        tell(who + " attach " + guest + " " + device + " " + key);
        co_return co_await running.attach(guest, device, request);
    }

    boost::asio::awaitable<operation_report> detach(use_case& running, std::string who) {
        auto device = any_device();
        auto guest = any_guest();
        if (const auto held = disk_.assignments(); !held.empty() && !one_in(4)) {
            const auto& meant = held[chance(held.size())].subject;
            device = field(meant, "device");
            if (meant.contains("guest")) guest = field(meant, one_in(4) ? "monitor" : "guest");
        }
        detach_request request;
        request.id = "dev" + device.substr(5, 2) + device.substr(8, 2);
        request.wait_guest = std::chrono::milliseconds(chance(2000));
        request.keep_bound = one_in(4);
        tell(who + " detach " + guest + " " + request.id + (request.keep_bound ? " kept" : ""));
        co_return co_await running.detach(guest, request);
    }

    /// A verdict has to be true when it is given.
    void judge(const std::string& who, const operation_report& report) {
        const auto& record = report.record();
        const auto& device = field(record.subject, "device");
        if (!report.ended()) return;
        ++tally_.ended[*report.ended()];
        tell(who + ": " + std::string(outcome_name(*report.ended())) + " " +
             std::string(kind_name(record.kind)) + " " + device +
             (report.refusals().empty() ? std::string() : " " + report.refusals().front().text) +
             (record.failure ? " " + record.failure->text : std::string()));
        if (report.is_repeated() || record.state != operation_state::closed) return;
        const bool attach = record.kind == operation_kind::attach;
        // A list of reports comes at the end: somebody else may have begun anew since.
        const auto is_newer = [&](const auto& each) {
            return each.first > record.number && field(each.second.subject, "device") == device;
        };
        const bool has_it = is_in(record, device) && std::ranges::none_of(disk_.rows, is_newer);
        if (report.ended() == outcome::rolled_back && attach && has_it)
            note(who + ": rolled back, but the guest has the device");
        if (report.ended() == outcome::done && record.kind == operation_kind::detach && has_it)
            note(who + ": detached, but the guest has the device");
    }

    bool is_in(const operation_record& record, const std::string& device) {
        const auto* guest = world_.find(guest_process(record));
        if (!guest) return false;
        const auto held = guest->devices.find(field(record.subject, "id"));
        return held != guest->devices.end() && held->second == device;
    }

    /// The faults end; what is unfinished is settled; everything goes home.
    boost::asio::awaitable<void> calm_down() {
        tell("calm");
        world_.faults.clear();
        world_.autoprobe = true;
        for (auto& [name, guest] : world_.guests) {
            guest.rejects = guest.refuses = guest.keeps = false;
            guest.add_takes = std::chrono::milliseconds(0);
            if (guest.frozen) world_.thaw(guest);
            world_.set_paused(guest, false);
        }
        // What is still away stays so.
        for (const auto& [address, device] : initial_)
            if (one_in(2)) plug_in(address);
        const auto last = process(0);
        for (int i = 0; i < 3; ++i)
            co_await recover(*last);
        for (const auto& each : disk_.open())
            note("an operation stays open: " + std::to_string(each.number));
        for (const auto& each : disk_.assignments())
            if (each.kind == operation_kind::attach && !is_in(each, field(each.subject, "device")))
                note("assigned, but in no guest");
        // Neighbours wait for each other.
        for (int i = 0; i < 4; ++i) {
            for (const auto& each : disk_.assignments())
                co_await take_home(*last, each);
            co_await recover(*last);
        }
    }

    boost::asio::awaitable<void> recover(simulated_process& in) {
        use_case running(in.shared(), {});
        const auto reports = co_await running.recover();
        if (reports.has_error()) co_return note("recover: " + reports.error().text);
        for (const auto& each : *reports)
            judge("recover", each);
    }

    boost::asio::awaitable<void> take_home(simulated_process& in, operation_record assigned) {
        use_case running(in.shared(), {});
        operation_report report;
        if (assigned.kind == operation_kind::bind) {
            report = co_await running.release(field(assigned.subject, "device"));
        } else {
            detach_request request;
            request.id = field(assigned.subject, "id");
            request.wait_guest = std::chrono::seconds(30);
            report = co_await running.detach(field(assigned.subject, "guest"), request);
        }
        judge("home", report);
    }

    void check() {
        if (!world_.violations.empty()) note(world_.violations.front());
        for (const auto& [name, guest] : world_.guests)
            if (!guest.devices.empty()) note("a guest has a device that nobody assigned");
        for (const auto& [address, device] : world_.devices)
            if (!is_as_it_was(address, device))
                note("a device is not as it was: " + address + " is " + describe(device));
        for (const auto& [name, guest] : world_.guests)
            if (guest.runs && guest.memlock.soft_bytes != 65536) note("a limit is not as it was");
        if (!disk_.assignments().empty()) note("something is still assigned");
        if (!locks_.empty()) note("a lease is held by nobody's operation");
    }

    static std::string describe(const fake_world::device_state& device) {
        auto text = "on \"" + device.driver + "\", for \"" + device.driver_override + "\"";
        for (const auto& each : device.netdevs) {
            text += ", " + each.name + " " + each.mac + " " + std::to_string(each.mtu) + " in " +
                    std::to_string(each.home);
            for (const auto& name : each.alternative_names)
                text += " " + name;
        }
        return text;
    }

    /// What the host has set up anew stays so, or is as a record knew it: both are right.
    bool is_as_it_was(const std::string& address, fake_world::device_state device) const {
        const auto& before = initial_.at(address);
        if (!renewed_.contains(address)) return device == before;
        if (device.driver_override == before.driver_override) device.driver_override.clear();
        // Whoever gives it a driver later sets it up.
        if (without_driver_.contains(address))
            return (device.driver.empty() || device.driver == before.driver) &&
                   (device.driver_override.empty() ||
                    device.driver_override == before.driver_override);
        for (std::size_t i = 0; i < device.netdevs.size(); ++i)
            if (device.netdevs[i].home == before.netdevs[i].home) device.netdevs[i].home = 0;
        return device == as_set_up(address);
    }

    std::mt19937_64 random_;
    mutation broken_;
    boost::asio::io_context io_;
    virtual_clock time_{io_};
    fake_world world_{time_};
    std::map<std::string, fake_world::device_state> initial_;
    std::set<std::string> without_driver_; ///< those that got none when they came back
    std::set<std::string> renewed_;        ///< devices that have come back without us
    simulated_disk disk_;
    simulated_locks locks_;
    std::shared_ptr<simulated_process> processes_[processes];
    int started_ = 0;
    std::map<std::string, std::pair<std::string, std::string>> asked_; ///< by key: guest, device
    std::string wrong_;
    std::string story_;
    tally tally_;
};

} // namespace vmplug::testing
