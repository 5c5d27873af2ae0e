#pragma once

#include "port/host_control.hpp"
#include "support/fault_injector.hpp"
#include "support/virtual_clock.hpp"

#include <vmplug/process_view.hpp>

#include <algorithm>
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
/// loaded takes what has no driver (unless drivers_autoprobe says no), what has left the machine
/// has no directory, VFIO wants the whole group, QEMU takes no id twice. udev renames what has come
/// back a moment later. A QEMU that is stopped (SIGSTOP) answers nothing, and does what it was sent
/// once it goes on; one whose guest is reset lets go of all that it was asked for, and its devices
/// are configured anew.
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
        bool frozen = false;   ///< its process is stopped
        bool hangs_up = false; ///< its monitor greets, and closes
        int hang_ups = 0;      ///< what was connected before the last is closed
        int greeted = 0;       ///< clients, so far
        virtual_clock::signal thawed;
        std::vector<std::function<void()>> queued; ///< sent meanwhile: it is in QEMU's socket
        /// Until then a guest that was reset has configured nothing, and hears no request.
        virtual_clock::time_point boots_until{};
        std::uint32_t uid = 0;
        bool hidden = false; ///< of another host: no process of this one is seen to answer
        std::optional<process_view> view; ///< what its process sees of a device
        bool by_paths = false; ///< QEMU shows a device by the path of sysfs that it was given
    };

    std::map<std::string, device_state> devices;
    std::map<std::string, guest_state> guests;
    std::set<std::string> loaded{"e1000", "e1000e"}; ///< drivers
    /// Modules, each with the driver that it brings.
    std::map<std::string, std::string> installed{
        {"e1000", "e1000"}, {"e1000e", "e1000e"}, {"vfio-pci", "vfio-pci"}};
    std::set<std::uint64_t> namespaces{77}; ///< network namespaces beside ours
    std::string boot_id = "boot";
    bool autoprobe = true; ///< /sys/bus/pci/drivers_autoprobe
    /// How long udev takes for a new interface, and the name that it gives; nothing: there is none.
    std::function<std::chrono::milliseconds()> udev;
    std::function<std::string(const std::string& permanent_mac)> udev_name;
    std::set<int> known_to_udev; ///< indices of interfaces
    std::set<std::string> told;  ///< drivers that know the ids of all our devices, which are twins
    int named = 90;              ///< the last number that the kernel gave to a netdev
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
    /// From now on its monitor closes whatever is connected to it.
    static void hang_up(guest_state& which) {
        which.hangs_up = true;
        ++which.hang_ups;
        which.clients = 0;
        tell(which);
    }
    /// QEMU ends: the kernel closes what it had open.
    void end(guest_state& which) {
        which.runs = which.frozen = false;
        which.queued.clear();
        which.thawed.raise();
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
    /// What came while it was stopped is done first, in that order, also for those who have gone.
    void thaw(guest_state& which) {
        which.frozen = false;
        for (const auto& each : std::exchange(which.queued, {}))
            each();
        which.thawed.raise();
    }
    /// The guest is reset: QEMU completes what it was asked to unplug, whatever the guest thinks of
    /// it (seen with 7.2, native PCI Express and ACPI ports alike), and tells of it.
    void reset(guest_state& which, std::chrono::milliseconds boots) {
        if (!which.runs || which.frozen) return;
        for (const auto& id : std::exchange(which.leaving, {})) {
            which.devices.erase(id);
            which.buses.erase(id);
        }
        which.boots_until = time.now() + boots;
        tell(which);
    }
    /// The device is pulled out of the machine: whoever had it has it no more.
    device_state pull_out(const std::string& address) {
        for (auto& [name, guest] : guests) {
            const auto has_it = [&](const auto& each) { return each.second == address; };
            const auto held = std::ranges::find_if(guest.devices, has_it);
            if (held == guest.devices.end()) continue;
            guest.leaving.erase(held->first);
            guest.buses.erase(held->first);
            guest.devices.erase(held);
            tell(guest);
        }
        return devices.extract(address).mapped();
    }
    /// The power is gone, and comes back: another boot, in which all is as the host sets it up.
    void cut_power(const std::map<std::string, device_state>& as_set_up) {
        boot_id = "boot-" + std::to_string(++boot_count_);
        for (auto& [name, guest] : guests)
            end(guest);
        devices = as_set_up;
        for (auto& [address, device] : devices)
            for (auto& each : device.netdevs)
                each.index = ++named;
        loaded = {"e1000", "e1000e"};
        told.clear();
        namespaces.clear();
        autoprobe = true;
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
            if (udev) time.later(udev(), [this, index = named] { run_udev(index); });
        }
    }
    netdev* find_netdev(int index) {
        for (auto& [address, device] : devices)
            for (auto& each : device.netdevs)
                if (device.driver == device.native_driver && each.home == 0 && each.index == index)
                    return &each;
        return nullptr;
    }
    bool is_taken(const std::string& name, std::uint64_t home, const netdev& by) const {
        for (const auto& [address, device] : devices)
            for (const auto& each : device.netdevs)
                if (device.driver == device.native_driver && each.home == home && &each != &by &&
                    (each.name == name || each.alternative_names.contains(name)))
                    return true;
        return false;
    }
    /// Its rules for one interface: it is renamed, unless it is up or the name is taken (udev keeps
    /// the kernel's name then), and stands in the database from then on.
    void run_udev(int index) {
        known_to_udev.insert(index);
        auto* which = find_netdev(index);
        if (!which || which->up) return;
        const auto name = udev_name(which->permanent_mac);
        if (!is_taken(name, 0, *which)) which->name = name;
    }
    /// A driver whose module is loaded takes what nobody has.
    void load(const std::string& driver) {
        if (!loaded.insert(driver).second || !autoprobe) return;
        for (auto& [address, device] : devices) {
            const auto& wanted = device.driver_override;
            if (device.driver.empty() && (wanted.empty() ? device.native_driver : wanted) == driver)
                attach_driver(device, driver);
        }
    }

private:
    int boot_count_ = 1;
};

} // namespace vmplug::testing
