#pragma once

#include "port/host_control.hpp"
#include "support/fault_injector.hpp"
#include "support/virtual_clock.hpp"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
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

    /// What a QEMU begins with: not enough to give its memory to a device.
    static constexpr std::uint64_t first_memlock_bytes = 65536;

    struct guest_state {
        std::map<std::string, std::string> devices; ///< qdev_id -> address
        std::map<std::string, std::string> buses;   ///< qdev_id -> bus
        std::set<std::string> leaving;              ///< asked to go: they do when the guest runs
        std::map<std::string, int> refusals;        ///< how often it has told that they stay
        int told = 0;                               ///< events
        virtual_clock::signal changed;
        int clients = 0; ///< of its monitor, which serves one at a time
        host_control::memlock memlock{first_memlock_bytes, first_memlock_bytes};
        process_identity identity;
        bool runs = true;
        bool rejects = false; ///< gives back what it gets, as a guest does that is still booting
        bool refuses = false; ///< QEMU does
        /// How long it takes to let go; nothing: ten times what anything takes.
        std::optional<std::chrono::milliseconds> lets_go_after;
        bool keeps = false; ///< tells that it lets nothing go
        /// How long a device_add takes; QEMU answers nothing else meanwhile.
        std::chrono::milliseconds add_takes{0};
        virtual_clock::time_point busy_until{};
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
    static void tell(guest_state& which) {
        ++which.told;
        which.changed.raise();
    }
    /// QEMU ends: the kernel closes what it had open.
    void end(guest_state& which) {
        which.runs = false;
        which.devices.clear();
        which.buses.clear();
        which.leaving.clear();
        tell(which);
    }
    /// The guest lets go of what it was asked for.
    void let_go(guest_state& which) {
        if (which.paused) return;
        for (const auto& id : std::exchange(which.leaving, {})) {
            if (which.keeps) ++which.refusals[id];
            if (which.keeps) continue;
            which.devices.erase(id);
            which.buses.erase(id);
        }
        tell(which);
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

} // namespace vmplug::testing
