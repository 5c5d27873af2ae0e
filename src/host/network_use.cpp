#include "host/network_use.hpp"

#include "host/mounts.hpp"
#include "host/read_devices.hpp"

#include <algorithm>
#include <set>

namespace vmplug {
namespace {

using kind = device_use::kind;
using uses = std::map<host_address, std::vector<device_use>>;

/// "net:[4026531840]" -> 4026531840
std::string namespace_number(const std::string& link) {
    return link.starts_with("net:[") && link.ends_with(']') ? link.substr(5, link.size() - 6)
                                                            : std::string();
}

/// Namespaces by number, each with a file of nsfs and how a person knows it.
struct namespace_place {
    std::string file;
    std::string name;
};

std::map<std::string, namespace_place> find_namespaces(const file_tree& files, network_view& view) {
    std::map<std::string, namespace_place> places;
    // A mounted one has a name that people gave it.
    const auto mounts = read_mounts(files, "/proc/self/mountinfo");
    if (mounts.has_error()) view.not_seen = "mountinfo: " + mounts.error().text;
    if (mounts.has_value())
        for (const auto& mount : *mounts)
            if (const auto number = namespace_number(mount.root); !number.empty())
                places.try_emplace(
                    number,
                    namespace_place{mount.point, mount.point.substr(mount.point.rfind('/') + 1)});
    for (const auto& pid : files.list("/proc")) {
        if (pid.find_first_not_of("0123456789") != pid.npos) continue;
        const auto file = "/proc/" + pid + "/ns/net";
        const auto link = files.read_link(file);
        if (!link) {
            // It has ended, or is somebody else's.
            if (files.exists("/proc/" + pid + "/exe")) view.not_seen = file + " cannot be read";
            continue;
        }
        const auto number = namespace_number(*link);
        if (!places.contains(number))
            places.emplace(
                number, namespace_place{file, "of process " + pid + " (" +
                                                  files.read_line("/proc/" + pid + "/comm") + ")"});
    }
    places.erase(namespace_number(files.read_link("/proc/thread-self/ns/net").value_or("")));
    return places;
}

class reader {
public:
    reader(const file_tree& files, const std::vector<pci_function>& functions,
           const network_view& view)
        : files_(files), functions_(functions), view_(view), paths_(paths_of(functions)) {}

    uses read() {
        for (const auto& function : functions_)
            for (const auto& netdev : function.netdevs)
                look_at(function, netdev);
        find_elsewhere();
        find_hidden();
        return std::move(found_);
    }

private:
    void add(const host_address& owner, kind is, std::string text) {
        found_[owner].push_back({is, std::move(text)});
    }

    /// The interface that sysfs shows under this name. Its index and hardware address have to
    /// agree: another namespace may have one of that name, or of that index, too.
    const network_interface* find_ours(const std::string& netdev) const {
        const auto path = "/sys/class/net/" + netdev;
        const auto index = files_.read_number(path + "/ifindex");
        if (!index || view_.ours.has_error()) return nullptr;
        const auto entry = view_.ours->find(static_cast<int>(*index));
        if (entry == view_.ours->end()) return nullptr;
        const bool same = entry->second.mac == files_.read_line(path + "/address");
        return same ? &entry->second : nullptr;
    }

    void look_at(const pci_function& function, const std::string& netdev) {
        if (view_.ours.has_error())
            return add(function.address, kind::unclear,
                       "what " + netdev +
                           " is used for cannot be told: rtnetlink: " + view_.ours.error().text);
        const auto* interface = find_ours(netdev);
        if (!interface)
            return add(
                function.address, kind::unclear,
                "what " + netdev +
                    " is used for cannot be told: it is not in the network namespace of this "
                    "vmplug, though sysfs shows it");
        const auto before = found_[function.address].size();
        add_own_uses(function.address, *interface);
        add_uses_from_elsewhere(function.address, *interface);
        if (found_[function.address].size() != before) return;
        if (interface->promiscuity > 0)
            add(function.address, kind::needed,
                netdev + " takes all packets for somebody (a bridge, a capture, a macvlan)");
        else if (!view_.not_seen.empty())
            add(function.address, kind::unclear,
                "whether another network namespace uses " + netdev +
                    " cannot be told: " + view_.not_seen);
    }

    void add_own_uses(const host_address& owner, const network_interface& interface) {
        const auto& name = interface.name;
        if (interface.default_route) add(owner, kind::needed, name + " carries the default route");
        if (!interface.master.empty())
            add(owner, kind::needed, name + " is a member of " + interface.master);
        for (const auto& stacked : interface.stacked)
            add(owner, kind::needed, stacked + " stands on " + name);
        for (const auto& address : interface.addresses)
            add(owner, kind::needed, name + " has the address " + address);
        if (interface.express_path)
            add(owner, kind::needed, "an XDP program is attached to " + name);
    }

    /// A macvlan, ipvlan or VLAN of ours that a container got.
    void add_uses_from_elsewhere(const host_address& owner, const network_interface& interface) {
        for (const auto& other : view_.others)
            for (const auto& [index, each] : other.interfaces)
                if (other.our_id >= 0 && each.link_namespace == other.our_id &&
                    each.link == interface.index)
                    add(owner, kind::needed,
                        each.name + " in the network namespace " + other.name + " stands on " +
                            interface.name);
    }

    /// Interfaces of functions in other namespaces, by the device that the kernel names for each.
    void find_elsewhere() {
        for (const auto& other : view_.others)
            for (const auto& [index, each] : other.interfaces) {
                if (each.parent_name.empty()) continue;
                const auto device = "/sys/bus/" + each.parent_bus + "/devices/" + each.parent_name;
                const auto path = follow_sysfs_link(files_, device);
                const auto owner = path ? paths_.owner_of(*path) : std::nullopt;
                if (!owner) continue;
                named_.insert(device);
                add(*owner, kind::needed,
                    "its network interface " + each.name + " lives in the network namespace " +
                        other.name);
            }
    }

    /// Devices below functions whose interfaces are not here, where nothing tells which they are.
    void find_hidden() {
        for (const auto& bus : files_.list("/sys/bus"))
            if (bus != "pci") find_hidden_on(bus);
        for (const auto& function : functions_)
            if (!function.driver.empty() && function.netdevs.empty())
                look_for_hidden(function.address, "pci", format_address(function.address));
    }

    void find_hidden_on(const std::string& bus) {
        const auto directory = "/sys/bus/" + bus + "/devices/";
        for (const auto& name : files_.list(directory)) {
            const auto path = follow_sysfs_link(files_, directory + name);
            const auto owner = path ? paths_.owner_of(*path) : std::nullopt;
            if (owner) look_for_hidden(*owner, bus, name);
        }
    }

    void look_for_hidden(const host_address& owner, const std::string& bus,
                         const std::string& name) {
        const auto device = "/sys/bus/" + bus + "/devices/" + name;
        if (named_.contains(device) || !files_.exists(device + "/net")) return;
        if (!files_.list(device + "/net").empty()) return;
        add(owner, kind::needed, "its network interface lives in another network namespace");
    }

    const file_tree& files_;
    const std::vector<pci_function>& functions_;
    const network_view& view_;
    function_paths paths_;
    std::set<std::string> named_; ///< devices whose interface was found in another namespace
    uses found_;
};

} // namespace

network_view read_network_view(const file_tree& files) {
    network_view view;
    view.ours = read_network();
    for (const auto& [number, place] : find_namespaces(files, view)) {
        auto other = read_other_network(place.file);
        if (other.has_error()) {
            // A process that ended meanwhile took its namespace along, if nobody else was in it.
            if (files.exists(place.file)) view.not_seen = place.file + ": " + other.error().text;
            continue;
        }
        other->name = place.name;
        view.others.push_back(std::move(*other));
    }
    return view;
}

uses read_network_uses(const file_tree& files, const std::vector<pci_function>& functions,
                       const network_view& view) {
    auto found = reader(files, functions, view).read();
    std::erase_if(found, [](const auto& entry) { return entry.second.empty(); });
    return found;
}

void add_alternative_names(const network_view& view, std::vector<pci_function>& functions) {
    if (view.ours.has_error()) return;
    for (const auto& [index, interface] : *view.ours) {
        if (interface.alternative_names.empty()) continue;
        for (auto& function : functions)
            if (std::ranges::find(function.netdevs, interface.name) != function.netdevs.end())
                function.alternative_names.insert(function.alternative_names.end(),
                                                  interface.alternative_names.begin(),
                                                  interface.alternative_names.end());
    }
}

} // namespace vmplug
