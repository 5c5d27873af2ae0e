#pragma once

#include "controller/guest_link.hpp"
#include "controller/host_control.hpp"
#include "support/fault_injector.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace vmplug::testing {

/// The kernel and a guest's QEMU as far as operations touch them, with the rules that the real ones
/// were seen to have: drivers_probe succeeds without binding, an override picks the driver, a bind
/// to another driver fails, VFIO wants the whole group, QEMU takes no id twice.
///
/// Whatever would have hung, crashed or taken a device from under a guest on a real host is kept as
/// a violation.
struct fake_world {
    struct device {
        std::string native_driver;
        std::string netdev;
        int group = 0;
        std::string driver;
        std::string driver_override;

        bool operator==(const device&) const = default;
    };

    std::map<std::string, device> devices;
    std::set<std::string> loaded{"e1000", "e1000e"};
    std::map<std::string, std::string> in_guest; ///< qdev_id -> address
    host_control::memlock memlock{65536, 65536};
    bool qemu_runs = true;
    bool guest_rejects = false; ///< as a guest does that is still booting
    bool qemu_refuses = false;
    bool guest_paused = false;
    std::vector<std::string> violations;
    fault_injector faults;

    bool is_in_guest(const std::string& address) const {
        for (const auto& [id, host] : in_guest)
            if (host == address) return true;
        return false;
    }
    bool group_in_guest(int group) const {
        for (const auto& [id, host] : in_guest)
            if (devices.at(host).group == group) return true;
        return false;
    }
    void attach_driver(device& which, const std::string& driver) {
        if (driver != "vfio-pci" && group_in_guest(which.group))
            violations.push_back("a host driver got a device of a group that is in a guest");
        which.driver = driver;
    }
};

class fake_host final : public host_control {
public:
    explicit fake_host(fake_world& world) : world_(world) {}

    task<void> write(std::string path, std::string value, std::chrono::milliseconds) override {
        co_return world_.faults.act(path, error_code::host_stuck,
                                    [&] { return write_now(path, value); });
    }

    task<std::string> read(std::string path, std::chrono::milliseconds) override {
        const auto& text = at(path).driver_override;
        co_return text.empty() ? std::string("(null)\n") : text + "\n";
    }

    task<void> load_module(std::string name, std::chrono::milliseconds) override {
        co_return world_.faults.act("modprobe " + name, error_code::host_stuck, [&] {
            world_.loaded.insert(name);
            return result<void>{};
        });
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
        const auto& device = at(path);
        return !device.netdev.empty() && device.driver == device.native_driver;
    }

    std::optional<std::string> first_entry(const std::string& path) override {
        const auto& device = at(path);
        return exists(path) ? std::optional(device.netdev) : std::nullopt;
    }

    result<memlock> read_memlock(std::int32_t) override { return world_.memlock; }

    result<void> set_memlock(std::int32_t, memlock limits) override {
        return world_.faults.act("prlimit", error_code::host_io, [&] {
            world_.memlock = limits;
            return result<void>{};
        });
    }

    bool is_alive(const process_identity&) override { return world_.qemu_runs; }

private:
    inline static const std::string devices_path = "/sys/bus/pci/devices/";
    inline static const std::string drivers_path = "/sys/bus/pci/drivers/";

    fake_world::device& at(const std::string& path) {
        return world_.devices.at(path.substr(devices_path.size(), 12));
    }

    bool group_has_node(const std::string& group) const {
        for (const auto& [address, device] : world_.devices)
            if (std::to_string(device.group) == group && device.driver == "vfio-pci") return true;
        return false;
    }

    static error refused(const std::string& path) {
        return {error_code::host_io, path, "No such device", {}};
    }

    result<void> write_now(const std::string& path, const std::string& value) {
        if (path.ends_with("/driver_override")) {
            at(path).driver_override = value == "\n" ? "" : value;
            return {};
        }
        const auto found = world_.devices.find(value);
        if (found == world_.devices.end()) return refused(path);
        auto& device = found->second;
        if (path == "/sys/bus/pci/drivers_probe") return probe(device);
        const auto driver = path.substr(drivers_path.size(), path.rfind('/') - drivers_path.size());
        if (path.ends_with("/unbind")) {
            if (device.driver != driver) return refused(path);
            if (world_.is_in_guest(value))
                world_.violations.push_back("a device was unbound while a guest has it");
            device.driver.clear();
            return {};
        }
        const bool matches = device.driver_override.empty() ? driver == device.native_driver
                                                            : driver == device.driver_override;
        if (!device.driver.empty() || !matches || !world_.loaded.contains(driver))
            return refused(path);
        world_.attach_driver(device, driver);
        return {};
    }

    result<void> probe(fake_world::device& device) {
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
    explicit fake_guest(fake_world& world) : world_(world) {}

    task<guest_facts> survey(duration) override { co_return guest_facts{}; }

    task<void> device_add(std::string arguments, duration) override {
        co_return world_.faults.act("device_add", error_code::timed_out,
                                    [&] { return add(arguments); });
    }

    task<void> device_del(std::string qdev_id, duration) override {
        co_return world_.faults.act("device_del", error_code::timed_out, [&] {
            if (!world_.guest_paused) world_.in_guest.erase(qdev_id);
            return result<void>{};
        });
    }

    task<guest_sight> look(std::string qdev_id, duration) override {
        const bool there = world_.in_guest.contains(qdev_id);
        // The sight of a device that the guest is about to give back.
        if (there && world_.guest_rejects) world_.in_guest.erase(qdev_id);
        co_return there && !world_.guest_rejects ? guest_sight::configured : guest_sight::gone;
    }

    boost::asio::awaitable<void> wait_for_change(std::string, duration) override { co_return; }
    bool is_open() const override { return world_.qemu_runs; }

private:
    result<void> add(const std::string& text) {
        const auto arguments = nlohmann::json::parse(text);
        const std::string id = arguments.at("id");
        const std::string host = "0000:" + arguments.at("host").get<std::string>();
        const error refusal{error_code::command_failed, "device_add", "GenericError: no", {}};
        if (world_.qemu_refuses || world_.in_guest.contains(id)) return refusal;
        if (world_.is_in_guest(host)) world_.violations.emplace_back("a device was added twice");
        const auto group = world_.devices.at(host).group;
        for (const auto& [address, device] : world_.devices)
            if (device.group == group && !device.driver.empty() && device.driver != "vfio-pci")
                return refusal;
        if (world_.devices.at(host).driver != "vfio-pci") return refusal;
        world_.in_guest[id] = host;
        return {};
    }

    fake_world& world_;
};

} // namespace vmplug::testing
