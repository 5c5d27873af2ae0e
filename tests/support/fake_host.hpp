#pragma once

#include "support/fake_world.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace vmplug::testing {

/// The kernel of the fake world, as steps act on it.
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
        return which.process.boot_id == world_.boot_id && world_.namespaces.contains(which.inode);
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
        if (path.starts_with(interfaces_path)) {
            const auto* netdev = find_named(path);
            return netdev ? std::to_string(netdev->index) : std::string();
        }
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
        if (path.starts_with(interfaces_path)) return find_named(path) != nullptr;
        if (path == "/run/udev/control") return static_cast<bool>(world_.udev);
        if (path.starts_with(udev_path))
            return world_.known_to_udev.contains(std::stoi(path.substr(udev_path.size())));
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
            if (limits.soft_bytes <= fake_world::first_memlock_bytes && !guest->devices.empty())
                world_.violations.push_back("a limit was taken from a guest that needs it");
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
    inline static const std::string interfaces_path = "/sys/class/net/";
    inline static const std::string udev_path = "/run/udev/data/n";

    /// The interface whose directory, or a file in it, is meant.
    const fake_world::netdev* find_named(const std::string& path) const {
        const auto rest = path.substr(interfaces_path.size());
        const auto name = rest.substr(0, rest.find('/'));
        for (const auto& [address, device] : world_.devices)
            for (const auto& each : device.netdevs)
                if (has_netdevs(device) && each.home == 0 && each.name == name) return &each;
        return nullptr;
    }

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
            state.other_namespace =
                network_namespace{from.home, "/run/netns/pod", {world_.boot_id, 0, 0}};
        return state;
    }

    static error errno_of(int reason) {
        return {error_code::host_io, "rtnetlink", std::strerror(reason), {}};
    }

    result<void> change_now(const netdev_change& change) {
        auto* which = world_.find_netdev(change.index);
        if (!which) return errno_of(ENODEV);
        const auto home = change.to_namespace ? change.to_namespace->inode : 0;
        if (change.to_namespace && !world_.namespaces.contains(home)) return errno_of(ESTALE);
        if (change.name && which->up) return errno_of(EBUSY);
        if (change.name && world_.is_taken(*change.name, home, *which)) return errno_of(EEXIST);
        for (const auto& name : change.alternative_names)
            if (world_.is_taken(name, home, *which) ||
                !which->alternative_names.insert(name).second)
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

} // namespace vmplug::testing
