#include "host/critical_use.hpp"

#include <algorithm>
#include <set>
#include <sstream>

namespace vmplug {
namespace {

using reasons = std::vector<std::string>;

void add_network_uses(const network_interface& network, reasons& found) {
    const auto& name = network.name;
    if (network.default_route) found.push_back(name + " carries the default route");
    if (!network.master.empty()) found.push_back(name + " is a member of " + network.master);
    for (const auto& stacked : network.stacked)
        found.push_back(stacked + " stands on " + name);
    for (const auto& address : network.addresses)
        found.push_back(name + " has the address " + address);
}

/// Numbers "259:1" of what is mounted, and names below /dev of what is swapped to.
struct storage_in_use {
    std::map<std::string, std::string> mounted; ///< device number -> mount point
    std::set<std::string> swap;                 ///< e.g. "nvme0n1p2"
};

storage_in_use read_storage(const file_tree& files) {
    storage_in_use found;
    std::istringstream mounts(files.read_or_empty("/proc/self/mountinfo"));
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream words(line);
        std::string id, parent, number, root, point;
        words >> id >> parent >> number >> root >> point;
        found.mounted.emplace(number, point);
    }
    std::istringstream swaps(files.read_or_empty("/proc/swaps"));
    for (std::string line; std::getline(swaps, line);)
        if (line.starts_with("/dev/"))
            found.swap.insert(line.substr(5, line.find_first_of(" \t") - 5));
    return found;
}

/// The block device, its partitions, and whatever stands on them (LVM, RAID, dm-crypt).
void collect_stack(const file_tree& files, const std::string& name, int depth,
                   std::set<std::string>& found) {
    if (depth == 0 || !found.insert(name).second) return;
    const auto path = "/sys/class/block/" + name;
    for (const auto& holder : files.list(path + "/holders"))
        collect_stack(files, holder, depth - 1, found);
    for (const auto& part : files.list(path))
        if (files.exists(path + "/" + part + "/partition"))
            collect_stack(files, part, depth - 1, found);
}

void add_storage_uses(const file_tree& files, const std::string& disk,
                      const storage_in_use& storage, reasons& found) {
    std::set<std::string> stack;
    collect_stack(files, disk, 8, stack);
    for (const auto& name : stack) {
        const auto number = files.read_line("/sys/class/block/" + name + "/dev");
        if (const auto mount = storage.mounted.find(number); mount != storage.mounted.end())
            found.push_back(name + " is mounted on " + mount->second);
        if (storage.swap.contains(name)) found.push_back(name + " is swap space");
    }
}

} // namespace

std::map<host_address, reasons>
read_critical_uses(const file_tree& files, const std::vector<pci_function>& functions,
                   const std::map<std::string, network_interface>& network) {
    std::map<host_address, reasons> uses;
    const auto storage = read_storage(files);
    for (const auto& function : functions) {
        reasons found;
        for (const auto& netdev : function.netdevs)
            if (const auto entry = network.find(netdev); entry != network.end())
                add_network_uses(entry->second, found);
        for (const auto& disk : function.block_devices)
            add_storage_uses(files, disk, storage, found);
        if (function.console_display)
            found.push_back("it is the display that the host booted with");
        if (!function.virtual_functions.empty())
            found.push_back("it has " + std::to_string(function.virtual_functions.size()) +
                            " virtual functions, which would go away with it");
        if (!found.empty()) uses.emplace(function.address, std::move(found));
    }
    return uses;
}

} // namespace vmplug
