#pragma once

#include "port/guest_link.hpp"
#include "port/host_control.hpp"
#include "support/fault_injector.hpp"
#include "support/virtual_clock.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace vmplug::testing {

/// The kernel and a guest's QEMU as far as operations touch them, with the rules that the real ones
/// were seen to have: drivers_probe succeeds without binding, netdevs come back as if they were new
/// (a name of the kernel's, the hardware's MAC, the driver's MTU, no alternative names, our network
/// namespace), an override picks the driver, a bind to another driver fails, a module that is
/// loaded takes what has no driver, what has left the machine has no directory, VFIO wants the
/// whole group, QEMU takes no id twice.
///
/// Whatever would have hung, crashed or taken a device from under a guest on a real host is kept as
/// a violation.
struct fake_world {
    struct netdev {
        std::string name;
        std::string permanent_mac;
        std::string mac = permanent_mac;
        std::uint32_t mtu = 1500;
        std::set<std::string> alternative_names = {};
        std::uint64_t home = 0; ///< inode of its network namespace; 0: ours
        bool up = false;
        int index = 0; ///< new each time

        bool operator==(const netdev& other) const {
            return name == other.name && mac == other.mac && mtu == other.mtu &&
                   alternative_names == other.alternative_names && home == other.home;
        }
    };

    struct device_state {
        std::string native_driver;
        std::vector<netdev> netdevs; ///< they are there as long as the native driver is
        int group = 0;
        std::string driver;
        std::string driver_override;
        std::string device_id = "0x10d3";

        bool operator==(const device_state&) const = default;
    };

    struct guest_state {
        std::map<std::string, std::string> devices; ///< qdev_id -> address
        std::map<std::string, std::string> buses;   ///< qdev_id -> bus
        std::set<std::string> leaving;              ///< asked to go: they do when the guest runs
        virtual_clock::signal changed;
        int clients = 0; ///< of its monitor, which serves one at a time
        host_control::memlock memlock{65536, 65536};
        process_identity identity;
        bool runs = true;
        bool rejects = false; ///< gives back what it gets, as a guest does that is still booting
        bool refuses = false; ///< QEMU does
        bool paused = false;
    };

    std::map<std::string, device_state> devices;
    std::map<std::string, guest_state> guests;
    std::set<std::string> loaded{"e1000", "e1000e"}; ///< drivers
    /// Modules, each with the driver that it brings.
    std::map<std::string, std::string> installed{
        {"e1000", "e1000"}, {"e1000e", "e1000e"}, {"vfio-pci", "vfio-pci"}};
    std::set<std::uint64_t> namespaces{77}; ///< network namespaces beside ours
    std::set<std::string> told; ///< drivers that know the ids of all our devices, which are twins
    int named = 90;             ///< the last number that the kernel gave to a netdev
    std::vector<std::string> violations;
    fault_injector faults;

    virtual_clock& time;
    /// How long the next thing takes; nothing: no time.
    std::function<std::chrono::milliseconds()> latency = [] {
        return std::chrono::milliseconds(0);
    };

    explicit fake_world(virtual_clock& clock) : time(clock) {}

    bool is_in_guest(const std::string& address) const {
        for (const auto& [name, guest] : guests)
            for (const auto& [id, host] : guest.devices)
                if (host == address) return true;
        return false;
    }
    bool group_in_guest(int group) const {
        for (const auto& [address, device] : devices)
            if (device.group == group && is_in_guest(address)) return true;
        return false;
    }
    guest_state* find(const process_identity& identity) {
        for (auto& [name, guest] : guests)
            if (guest.identity == identity) return &guest;
        return nullptr;
    }
    guest_state* find_pid(std::int32_t pid) {
        for (auto& [name, guest] : guests)
            if (guest.identity.pid == pid) return &guest;
        return nullptr;
    }
    /// QEMU ends: the kernel closes what it had open.
    void end(guest_state& which) {
        which.runs = false;
        which.devices.clear();
        which.buses.clear();
        which.leaving.clear();
        which.changed.raise();
    }
    /// The guest lets go of what it was asked for.
    void let_go(guest_state& which) {
        if (which.paused) return;
        for (const auto& id : std::exchange(which.leaving, {})) {
            which.devices.erase(id);
            which.buses.erase(id);
        }
        which.changed.raise();
    }
    void set_paused(guest_state& which, bool paused) {
        which.paused = paused;
        let_go(which);
    }
    void attach_driver(device_state& which, const std::string& driver) {
        if (driver != "vfio-pci" && group_in_guest(which.group))
            violations.push_back("a host driver got a device of a group that is in a guest");
        which.driver = driver;
        if (driver != which.native_driver) return;
        for (auto& each : which.netdevs) {
            netdev fresh{"eth" + std::to_string(++named), each.permanent_mac};
            fresh.index = named;
            each = std::move(fresh);
        }
    }
    /// A driver whose module is loaded takes what nobody has.
    void load(const std::string& driver) {
        if (!loaded.insert(driver).second) return;
        for (auto& [address, device] : devices)
            if (device.driver.empty() && device.driver_override.empty() &&
                device.native_driver == driver)
                attach_driver(device, driver);
    }
};

class fake_host final : public host_control {
public:
    /// `pause` comes before each act: it takes time, and ends a process that is dead.
    /// Has an effect come when nobody waits for it any more, and these leases last so long.
    using hold_function =
        std::function<void(const std::vector<const lease*>&, std::function<void()>)>;

    fake_host(fake_world& world, std::function<boost::asio::awaitable<void>()> pause,
              hold_function hold = {})
        : world_(world), pause_(std::move(pause)), hold_(std::move(hold)) {}

    /// The same for one operation.
    std::unique_ptr<host_control> holding(const std::vector<const lease*>& leases) override {
        auto same = std::make_unique<fake_host>(world_, pause_);
        same->lies = lies;
        if (hold_)
            same->late_ = [hold = hold_, leases](std::function<void()> effect) {
                hold(leases, std::move(effect));
            };
        return same;
    }

    task<void> write(std::string path, std::string value, std::chrono::milliseconds) override {
        co_await pause_();
        co_return world_.faults.act(
            path, error_code::host_stuck, [&] { return write_now(path, value); },
            [&] {
                if (late_)
                    late_([&world = world_, path, value] {
                        (void)fake_host(world, {}).write_now(path, value);
                    });
            });
    }

    task<std::string> read(std::string path, std::chrono::milliseconds) override {
        co_await pause_();
        if (!find(path)) co_return refused(path);
        const auto& text = at(path).driver_override;
        co_return text.empty() ? std::string("(null)\n") : text + "\n";
    }

    task<void> load_module(std::string name, std::chrono::milliseconds) override {
        co_await pause_();
        co_return world_.faults.act("modprobe " + name, error_code::host_stuck, [&] {
            const auto driver = module_of(name);
            if (!driver.empty()) world_.load(driver);
            return driver.empty() ? result<void>(no_module(name)) : result<void>();
        });
    }

    task<bool> finds_module(std::string name, std::chrono::milliseconds) override {
        co_return !module_of(name).empty();
    }

    task<netdev_survey> read_netdevs(std::string device, std::chrono::milliseconds) override {
        co_await pause_();
        netdev_survey seen;
        for (const auto& [address, other] : world_.devices) {
            if (!has_netdevs(other)) continue;
            for (const auto& each : other.netdevs)
                if (address == device)
                    seen.netdevs.push_back(to_state(each, other));
                else if (each.home == 0) {
                    seen.names_of_others.insert(each.name);
                    seen.names_of_others.insert(each.alternative_names.begin(),
                                                each.alternative_names.end());
                }
        }
        co_return seen;
    }

    task<void> change_netdev(netdev_change change, std::chrono::milliseconds) override {
        co_await pause_();
        co_return world_.faults.act("rtnetlink", error_code::host_stuck,
                                    [&] { return change_now(change); });
    }

    bool is_there(const network_namespace& which) override {
        return world_.namespaces.contains(which.inode);
    }

    std::vector<std::string> list_netdevs(const std::string& device) override {
        std::vector<std::string> names;
        const auto found = world_.devices.find(device);
        if (found != world_.devices.end() && has_netdevs(found->second))
            for (const auto& each : found->second.netdevs)
                if (each.home == 0) names.push_back(each.name);
        return names;
    }

    std::string read_line(const std::string& path) override {
        const auto* device = find(path);
        if (!device) return {};
        if (path.ends_with("/modalias")) return "pci:" + device->native_driver;
        if (path.ends_with("/device")) return device->device_id;
        return "0x8086";
    }

    std::optional<std::string> read_link_name(const std::string& path) override {
        if (path.starts_with(drivers_path)) {
            const auto driver = driver_in(path);
            for (const auto& [module, brings] : world_.installed)
                if (brings == driver && world_.loaded.contains(driver)) return module;
            return std::nullopt;
        }
        if (!find(path)) return std::nullopt;
        const auto& device = at(path);
        if (path.ends_with("/iommu_group")) return std::to_string(device.group);
        if (lies && device.driver.empty()) return device.native_driver;
        return device.driver.empty() ? std::nullopt : std::optional(device.driver);
    }

    bool exists(const std::string& path) override {
        if (path.starts_with(drivers_path))
            return world_.loaded.contains(path.substr(drivers_path.size()));
        if (path.starts_with("/dev/vfio/")) return group_has_node(path.substr(10));
        if (path.starts_with("/run/udev")) return false;
        if (path + "/" == devices_path) return true;
        return find(path) != nullptr;
    }

    result<memlock> read_memlock(std::int32_t pid) override {
        const auto* guest = world_.find_pid(pid);
        if (!guest) return error{error_code::host_io, "prlimit", "No such process", {}};
        return guest->memlock;
    }

    result<void> set_memlock(std::int32_t pid, memlock limits) override {
        return world_.faults.act("prlimit", error_code::host_io, [&]() -> result<void> {
            auto* guest = world_.find_pid(pid);
            if (!guest) return error{error_code::host_io, "prlimit", "No such process", {}};
            guest->memlock = limits;
            return {};
        });
    }

    bool is_alive(const process_identity& process) override {
        const auto* guest = world_.find(process);
        return guest && guest->runs;
    }

private:
    inline static const std::string devices_path = "/sys/bus/pci/devices/";
    inline static const std::string drivers_path = "/sys/bus/pci/drivers/";

    static bool has_netdevs(const fake_world::device_state& device) {
        return device.driver == device.native_driver;
    }

    netdev_state to_state(const fake_world::netdev& from,
                          const fake_world::device_state& device) const {
        netdev_state state;
        state.index = from.index;
        state.name = from.name;
        state.mac = from.mac;
        state.permanent_mac = from.permanent_mac;
        state.mtu = from.mtu;
        state.up = from.up;
        state.alternative_names = {from.alternative_names.begin(), from.alternative_names.end()};
        if (from.home == 0)
            state.dev_port = static_cast<int>(&from - device.netdevs.data());
        else
            state.other_namespace = network_namespace{from.home, "/run/netns/pod", {"boot", 0, 0}};
        return state;
    }

    fake_world::netdev* find_netdev(int index) {
        for (auto& [address, device] : world_.devices)
            for (auto& each : device.netdevs)
                if (has_netdevs(device) && each.home == 0 && each.index == index) return &each;
        return nullptr;
    }

    bool is_taken(const std::string& name, std::uint64_t home, const fake_world::netdev& by) {
        for (auto& [address, device] : world_.devices)
            for (auto& each : device.netdevs)
                if (has_netdevs(device) && each.home == home && &each != &by &&
                    (each.name == name || each.alternative_names.contains(name)))
                    return true;
        return false;
    }

    static error errno_of(int reason) {
        return {error_code::host_io, "rtnetlink", std::strerror(reason), {}};
    }

    result<void> change_now(const netdev_change& change) {
        auto* which = find_netdev(change.index);
        if (!which) return errno_of(ENODEV);
        const auto home = change.to_namespace ? change.to_namespace->inode : 0;
        if (change.to_namespace && !world_.namespaces.contains(home)) return errno_of(ESTALE);
        if (change.name && which->up) return errno_of(EBUSY);
        if (change.name && is_taken(*change.name, home, *which)) return errno_of(EEXIST);
        for (const auto& name : change.alternative_names)
            if (is_taken(name, home, *which) || !which->alternative_names.insert(name).second)
                return errno_of(EEXIST);
        if (change.mtu) which->mtu = *change.mtu;
        if (change.mac) which->mac = *change.mac;
        if (change.name) which->name = *change.name;
        which->home = home;
        return {};
    }

    /// The driver that a module, or a modalias, brings.
    std::string module_of(const std::string& name) const {
        const auto is_meant = [&](const auto& each) {
            return each.first == name || "pci:" + each.second == name;
        };
        const auto found = std::ranges::find_if(world_.installed, is_meant);
        return found == world_.installed.end() ? std::string() : found->second;
    }

    static error no_module(const std::string& name) {
        return {error_code::driver_unavailable, "modprobe " + name, "Module not found", {}};
    }

    static std::string driver_in(const std::string& path) {
        return path.substr(drivers_path.size(), path.rfind('/') - drivers_path.size());
    }

    /// The device whose directory or file is meant, nullptr when it is not in the machine.
    fake_world::device_state* find(const std::string& path) {
        if (!path.starts_with(devices_path)) return nullptr;
        const auto found = world_.devices.find(path.substr(devices_path.size(), 12));
        return found == world_.devices.end() ? nullptr : &found->second;
    }

    fake_world::device_state& at(const std::string& path) {
        return world_.devices.at(path.substr(devices_path.size(), 12));
    }

    bool group_has_node(const std::string& group) const {
        for (const auto& [address, device] : world_.devices)
            if (std::to_string(device.group) == group && device.driver == "vfio-pci") return true;
        return false;
    }

    static error refused(const std::string& path) {
        return {error_code::host_io, path, std::strerror(ENODEV), {}};
    }

    result<void> write_now(const std::string& path, const std::string& value) {
        if (path.starts_with(devices_path) && !find(path)) return errno_of(ENOENT);
        if (path.ends_with("/driver_override")) {
            at(path).driver_override = value == "\n" ? "" : value;
            return {};
        }
        const auto driver = driver_in(path);
        if (path.ends_with("/new_id")) return tell(path, driver);
        if (path.ends_with("/remove_id"))
            return world_.told.erase(driver) ? result<void>() : refused(path);
        const auto found = world_.devices.find(value);
        if (found == world_.devices.end()) return refused(path);
        auto& device = found->second;
        if (path == "/sys/bus/pci/drivers_probe") return probe(device);
        if (path.ends_with("/unbind")) {
            if (device.driver != driver) return refused(path);
            if (world_.is_in_guest(value))
                world_.violations.push_back("a device was unbound while a guest has it");
            device.driver.clear();
            return {};
        }
        if (lies && driver == device.native_driver) return {};
        const bool matches = device.driver_override.empty()
                                 ? driver == device.native_driver || world_.told.contains(driver)
                                 : driver == device.driver_override;
        if (!device.driver.empty() || !matches || !world_.loaded.contains(driver))
            return refused(path);
        world_.attach_driver(device, driver);
        return {};
    }

    /// The driver takes each device of those ids that has none.
    result<void> tell(const std::string& path, const std::string& driver) {
        if (!world_.loaded.contains(driver)) return refused(path);
        if (!world_.told.insert(driver).second)
            return error{error_code::host_io, path, std::strerror(EEXIST), {}};
        for (auto& [address, device] : world_.devices)
            if (device.driver.empty() && device.driver_override.empty())
                world_.attach_driver(device, driver);
        return {};
    }

    result<void> probe(fake_world::device_state& device) {
        const auto wanted =
            device.driver_override.empty() ? device.native_driver : device.driver_override;
        if (lies && wanted == device.native_driver) return {};
        // Succeeds without binding, as the kernel's does.
        if (device.driver.empty() && world_.loaded.contains(wanted))
            world_.attach_driver(device, wanted);
        return {};
    }

    fake_world& world_;
    std::function<boost::asio::awaitable<void>()> pause_;
    hold_function hold_;
    std::function<void(std::function<void()>)> late_;

public:
    bool lies = false; ///< a bind to the device's own driver is said to be done
};

/// A connection to the QEMU that runs now: another one of the same name is not at its end.
class fake_guest final : public guest_link {
public:
    fake_guest(fake_world& world, std::string name,
               std::function<boost::asio::awaitable<void>()> pause)
        : world_(world), name_(std::move(name)), pause_(std::move(pause)),
          identity_(guest().identity) {
        ++guest().clients;
    }
    ~fake_guest() override {
        if (guest().identity == identity_) --guest().clients;
    }

    task<guest_facts> survey(duration) override {
        co_await pause_();
        if (!is_open()) co_return lost();
        guest_facts facts;
        facts.name = name_;
        facts.running = !guest().paused;
        facts.vfio_pci = device_model{"vfio-pci", {}};
        for (int i = 0; i < 4; ++i) {
            auto& port = facts.ports.emplace_back();
            port.bus = "rp" + std::to_string(i);
            port.takes_hot_add = port.single_slot = true;
            for (const auto& [id, bus] : guest().buses)
                if (bus == port.bus) port.occupants.push_back(id);
        }
        for (const auto& [id, host] : guest().devices) {
            auto& device = facts.devices.emplace_back();
            device.qdev_id = id;
            device.host = host;
            device.type = "vfio-pci";
            device.bus = guest().buses[id];
        }
        co_return facts;
    }

    task<void> device_add(std::string arguments, duration) override {
        co_await pause_();
        if (!is_open()) co_return lost();
        co_return world_.faults.act("device_add", error_code::timed_out,
                                    [&] { return add(arguments); });
    }

    task<void> device_del(std::string qdev_id, duration) override {
        co_await pause_();
        if (!is_open()) co_return lost();
        co_return world_.faults.act("device_del", error_code::timed_out,
                                    [&] { return remove(qdev_id); });
    }

    task<guest_sight> look(std::string qdev_id, duration) override {
        co_await pause_();
        if (!is_open()) co_return lost();
        if (world_.faults.loses_answer())
            co_return error{error_code::timed_out, "qom-list", "no answer came", {}};
        const bool there = guest().devices.contains(qdev_id);
        // The sight of a device that the guest is about to give back.
        if (there && guest().rejects) {
            guest().devices.erase(qdev_id);
            guest().buses.erase(qdev_id);
        }
        co_return there && !guest().rejects ? guest_sight::configured : guest_sight::gone;
    }

    boost::asio::awaitable<void> wait_for_change(std::string, duration most) override {
        co_await world_.time.wait_for(most, &guest().changed);
        co_await pause_();
    }
    std::string address() const override { return "qmp:/run/" + name_; }
    bool is_open() const override {
        const auto& now = world_.guests.at(name_);
        return now.runs && now.identity == identity_;
    }

private:
    fake_world::guest_state& guest() { return world_.guests.at(name_); }
    static error lost() {
        return {error_code::connection_lost, "QMP", "QEMU closed the monitor", {}};
    }

    result<void> add(const std::string& text) {
        const auto arguments = nlohmann::json::parse(text);
        const std::string id = arguments.at("id");
        const std::string host = "0000:" + arguments.at("host").get<std::string>();
        const error refusal{error_code::command_failed, "device_add", "GenericError: no", {}};
        if (guest().refuses || guest().devices.contains(id)) return refusal;
        if (world_.is_in_guest(host)) world_.violations.emplace_back("a device was added twice");
        const auto group = world_.devices.at(host).group;
        for (const auto& [address, device] : world_.devices)
            if (device.group == group && !device.driver.empty() && device.driver != "vfio-pci")
                return refusal;
        if (world_.devices.at(host).driver != "vfio-pci") return refusal;
        guest().devices[id] = host;
        guest().buses[id] = arguments.value("bus", "");
        return {};
    }

    /// The answer says only that the guest was asked.
    result<void> remove(const std::string& id) {
        if (!guest().devices.contains(id)) return {};
        guest().leaving.insert(id);
        world_.time.later(world_.latency() * 10, [&world = world_, name = name_, who = identity_] {
            auto& state = world.guests.at(name);
            if (state.runs && state.identity == who) world.let_go(state);
        });
        return {};
    }

    fake_world& world_;
    std::string name_;
    std::function<boost::asio::awaitable<void>()> pause_;
    process_identity identity_;
};

} // namespace vmplug::testing
