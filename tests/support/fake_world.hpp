#pragma once

#include "controller/guest_link.hpp"
#include "controller/host_control.hpp"
#include "support/fault_injector.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace vmplug::testing {

/// The kernel and a guest's QEMU as far as operations touch them, with the rules that the real ones
/// were seen to have: drivers_probe succeeds without binding, a netdev comes back under a name of
/// its own, an override picks the driver, a bind to another driver fails, VFIO wants the whole
/// group, QEMU takes no id twice.
///
/// Whatever would have hung, crashed or taken a device from under a guest on a real host is kept as
/// a violation.
struct fake_world {
    struct device_state {
        std::string native_driver;
        std::string netdev; ///< its name; it is there as long as the native driver is
        int group = 0;
        std::string driver;
        std::string driver_override;

        bool operator==(const device_state&) const = default;
    };

    struct guest_state {
        std::map<std::string, std::string> devices; ///< qdev_id -> address
        host_control::memlock memlock{65536, 65536};
        process_identity identity;
        bool runs = true;
        bool rejects = false; ///< gives back what it gets, as a guest does that is still booting
        bool refuses = false; ///< QEMU does
        bool paused = false;
    };

    std::map<std::string, device_state> devices;
    std::map<std::string, guest_state> guests;
    std::set<std::string> loaded{"e1000", "e1000e"};
    std::set<std::string> told; ///< drivers that know the ids of all our devices, which are twins
    int named = 90;             ///< the last number that the kernel gave to a netdev
    std::vector<std::string> violations;
    fault_injector faults;

    /// Called before each act: lets others run in between.
    std::function<boost::asio::awaitable<void>()> pause;

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
    }
    void attach_driver(device_state& which, const std::string& driver) {
        if (driver != "vfio-pci" && group_in_guest(which.group))
            violations.push_back("a host driver got a device of a group that is in a guest");
        which.driver = driver;
        if (driver == which.native_driver) which.netdev = "eth" + std::to_string(++named);
    }
};

class fake_host final : public host_control {
public:
    explicit fake_host(fake_world& world) : world_(world) {}

    task<void> write(std::string path, std::string value, std::chrono::milliseconds) override {
        if (world_.pause) co_await world_.pause();
        co_return world_.faults.act(path, error_code::host_stuck,
                                    [&] { return write_now(path, value); });
    }

    task<std::string> read(std::string path, std::chrono::milliseconds) override {
        if (path.ends_with("/flags")) co_return std::string("0x1002\n");
        const auto& text = at(path).driver_override;
        co_return text.empty() ? std::string("(null)\n") : text + "\n";
    }

    task<void> load_module(std::string name, std::chrono::milliseconds) override {
        co_return world_.faults.act("modprobe " + name, error_code::host_stuck, [&] {
            world_.loaded.insert(name);
            return result<void>{};
        });
    }

    task<void> rename_netdev(std::string name, std::string new_name,
                             std::chrono::milliseconds) override {
        if (world_.pause) co_await world_.pause();
        co_return world_.faults.act("rename", error_code::host_stuck,
                                    [&] { return rename_now(name, new_name); });
    }

    std::optional<std::string> read_link_name(const std::string& path) override {
        const auto& device = at(path);
        if (path.ends_with("/iommu_group")) return std::to_string(device.group);
        return device.driver.empty() ? std::nullopt : std::optional(device.driver);
    }

    bool exists(const std::string& path) override {
        if (path.starts_with(drivers_path))
            return world_.loaded.contains(path.substr(drivers_path.size()));
        if (path.starts_with("/dev/vfio/")) return group_has_node(path.substr(10));
        if (path.ends_with("/driver_override")) return true;
        if (path.starts_with("/run/udev")) return false;
        if (path.starts_with(netdevs_path)) return find_netdev(path.substr(netdevs_path.size()));
        return has_netdev(at(path)) && path.ends_with("/net/" + at(path).netdev);
    }

    std::optional<std::string> first_entry(const std::string& path) override {
        const auto& device = at(path);
        return has_netdev(device) ? std::optional(device.netdev) : std::nullopt;
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

    inline static const std::string netdevs_path = "/sys/class/net/";

    static bool has_netdev(const fake_world::device_state& device) {
        return !device.netdev.empty() && device.driver == device.native_driver;
    }

    fake_world::device_state* find_netdev(const std::string& name) {
        for (auto& [address, device] : world_.devices)
            if (has_netdev(device) && device.netdev == name) return &device;
        return nullptr;
    }

    result<void> rename_now(const std::string& name, const std::string& new_name) {
        const error exists{error_code::host_io, name, std::strerror(EEXIST), {}};
        auto* device = find_netdev(name);
        if (!device) return refused(name);
        if (find_netdev(new_name)) return exists;
        device->netdev = new_name;
        return {};
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
        if (path.ends_with("/driver_override")) {
            at(path).driver_override = value == "\n" ? "" : value;
            return {};
        }
        const auto driver = path.substr(drivers_path.size(), path.rfind('/') - drivers_path.size());
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
        // Succeeds without binding, as the kernel's does.
        if (device.driver.empty() && world_.loaded.contains(wanted))
            world_.attach_driver(device, wanted);
        return {};
    }

    fake_world& world_;
};

class fake_guest final : public guest_link {
public:
    /// A connection to the QEMU that runs now: another one of the same name is not at its end.
    fake_guest(fake_world& world, std::string name)
        : world_(world), name_(std::move(name)), identity_(guest().identity) {}

    task<guest_facts> survey(duration) override { co_return guest_facts{}; }

    task<void> device_add(std::string arguments, duration) override {
        if (world_.pause) co_await world_.pause();
        if (!is_open()) co_return lost();
        co_return world_.faults.act("device_add", error_code::timed_out,
                                    [&] { return add(arguments); });
    }

    task<void> device_del(std::string qdev_id, duration) override {
        if (world_.pause) co_await world_.pause();
        if (!is_open()) co_return lost();
        co_return world_.faults.act("device_del", error_code::timed_out, [&] {
            if (!guest().paused) guest().devices.erase(qdev_id);
            return result<void>{};
        });
    }

    task<guest_sight> look(std::string qdev_id, duration) override {
        if (!is_open()) co_return lost();
        const bool there = guest().devices.contains(qdev_id);
        // The sight of a device that the guest is about to give back.
        if (there && guest().rejects) guest().devices.erase(qdev_id);
        co_return there && !guest().rejects ? guest_sight::configured : guest_sight::gone;
    }

    boost::asio::awaitable<void> wait_for_change(std::string, duration) override { co_return; }
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
        return {};
    }

    fake_world& world_;
    std::string name_;
    process_identity identity_;
};

} // namespace vmplug::testing
