#include "host/disk_use.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <sstream>

namespace vmplug {
namespace {

using kind = device_use::kind;

constexpr int stack_depth_max = 8;

std::string block_path(const std::string& name) {
    return "/sys/class/block/" + name;
}

std::string number_of(const file_tree& files, const std::string& name) {
    return files.read_line(block_path(name) + "/dev");
}

/// "259:1" of a block device's node, empty for anything else.
std::string number_of_node(const file_tree& files, const std::string& node) {
    const auto number = files.inspect(node).node;
    if (!number || !number->block) return {};
    return std::to_string(number->major) + ":" + std::to_string(number->minor);
}

/// A mount's device: by its number, or by its source where it has one of its own (btrfs).
std::string number_of_mount(const file_tree& files, const mount_entry& mount) {
    const bool own = mount.number.starts_with("0:") && mount.source.starts_with("/dev/");
    return own ? number_of_node(files, mount.source) : mount.number;
}

/// "259:1"
device_number parse_number(const std::string& text) {
    device_number number;
    number.block = true;
    const auto* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number.major);
    if (read.ptr != end) std::from_chars(read.ptr + 1, end, number.minor);
    return number;
}

/// Its node as the kernel named it, e.g. "/dev/nvme0n1".
std::string node_of(const file_tree& files, const std::string& name) {
    std::istringstream lines(files.read_or_empty(block_path(name) + "/uevent"));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("DEVNAME=")) return "/dev/" + line.substr(8);
    return "/dev/" + name;
}

} // namespace

disk_uses::disk_uses(const file_tree& files, const function_paths& paths)
    : files_(files), names_(files.list("/sys/class/block")),
      mounts_(read_mounts(files, "/proc/self/mountinfo")) {
    if (mounts_.has_value())
        for (const auto& mount : *mounts_)
            mounted_.emplace(number_of_mount(files, mount), mount.point);
    std::istringstream lines(files.read_or_empty("/proc/swaps"));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("/dev/"))
            swapped_.insert(number_of_node(files, line.substr(0, line.find_first_of(" \t"))));
    const std::string directory = "/sys/bus/virtio/devices/";
    for (const auto& name : files.list(directory)) {
        const auto tag = files.read_line(directory + name + "/mount_tag");
        const auto path = follow_sysfs_link(files, directory + name);
        const auto owner = path ? paths.owner_of(*path) : std::nullopt;
        // The kernel ends the tag with a zero.
        if (!owner || tag.empty()) continue;
        // Each mount holds a reference; a driver that is built in shows none.
        const auto users = files.read_number(directory + name + "/driver/module/refcnt");
        shares_.emplace(*owner, share{tag.substr(0, tag.find('\0')), users != 0U});
    }
}

/// The disk, its partitions, and whatever stands on them (LVM, RAID, dm-crypt). A partition is
/// below its disk under the name that it has among all block devices.
void disk_uses::collect_stack(const std::string& name, int depth,
                              std::set<std::string>& found) const {
    if (depth == 0 || !found.insert(name).second) return;
    for (const auto& holder : files_.list(block_path(name) + "/holders"))
        collect_stack(holder, depth - 1, found);
    for (const auto& part : files_.list(block_path(name)))
        if (std::ranges::binary_search(names_, part)) collect_stack(part, depth - 1, found);
}

std::set<std::string> disk_uses::stack_of(const std::string& disk) const {
    std::set<std::string> stack;
    collect_stack(disk, stack_depth_max, stack);
    return stack;
}

std::vector<device_use> disk_uses::uses_of(const pci_function& function) const {
    std::vector<device_use> found;
    for (const auto& disk : function.block_devices)
        std::ranges::move(uses_of_disk(disk), std::back_inserter(found));
    add_shared(function, found);
    if (!function.block_devices.empty() && mounts_.has_error())
        found.push_back({kind::unclear, "what is mounted cannot be read: " + mounts_.error().text});
    return found;
}

/// A file system that the machine around this one shares has no block device: its mount names the
/// tag of a virtio device. One that was mounted before the root was changed is in no table.
void disk_uses::add_shared(const pci_function& function, std::vector<device_use>& found) const {
    const auto known = shares_.find(function.address);
    if (known == shares_.end()) return;
    const auto& tag = known->second.tag;
    if (mounts_.has_value())
        for (const auto& mount : *mounts_)
            if (mount.source == tag)
                return found.push_back(
                    {kind::needed, "its file system " + tag + " is mounted on " + mount.point});
    if (known->second.in_use)
        found.push_back({kind::unclear, "whether its file system " + tag +
                                            " is mounted cannot be told: its driver is in use"});
}

std::vector<device_use> disk_uses::uses_of_disk(const std::string& disk) const {
    std::vector<device_use> found;
    // A path to the head of a multipath disk has no number and no node: the head is asked.
    if (number_of(files_, disk).empty()) return found;
    const auto stack = stack_of(disk);
    for (const auto& name : stack)
        add_known_uses(name, found);
    if (!found.empty()) return found;
    for (const auto& name : stack)
        for (const auto& holder : files_.list(block_path(name) + "/holders"))
            found.push_back({kind::needed, holder + " stands on " + name});
    if (found.empty()) ask_kernel(disk, found);
    return found;
}

void disk_uses::add_known_uses(const std::string& name, std::vector<device_use>& found) const {
    const auto number = number_of(files_, name);
    if (const auto point = mounted_.find(number); point != mounted_.end())
        found.push_back({kind::needed, name + " is mounted on " + point->second});
    if (swapped_.contains(number)) found.push_back({kind::needed, name + " is swap space"});
}

void disk_uses::ask_kernel(const std::string& disk, std::vector<device_use>& found) const {
    const auto node = node_of(files_, disk);
    std::string reason;
    switch (files_.try_claim(node, parse_number(number_of(files_, disk)), reason)) {
    case disk_claim::free:
        return;
    case disk_claim::closed:
        found.push_back({kind::unclear, "whether the disk " + disk +
                                            " is in use cannot be told: " + node + ": " + reason});
        return;
    case disk_claim::taken:
        break;
    }
    const auto place = find_elsewhere(stack_of(disk));
    found.push_back(
        {kind::needed, place ? *place
                             : disk + " is in use: the kernel refuses it to others (a file system, "
                                      "RAID or volume has it)"});
}

/// What has it is mounted in another mount namespace, or somebody took it a moment ago.
std::optional<std::string> disk_uses::find_elsewhere(const std::set<std::string>& stack) const {
    std::set<std::string> seen{files_.read_link("/proc/self/ns/mnt").value_or("")};
    for (const auto& pid : files_.list("/proc")) {
        if (pid.find_first_not_of("0123456789") != pid.npos) continue;
        const auto space = files_.read_link("/proc/" + pid + "/ns/mnt");
        if (!space || !seen.insert(*space).second) continue;
        const auto mounts = read_mounts(files_, "/proc/" + pid + "/mountinfo");
        if (mounts.has_error()) continue;
        for (const auto& mount : *mounts)
            for (const auto& name : stack)
                if (number_of_mount(files_, mount) == number_of(files_, name))
                    return name + " is mounted on " + mount.point + " for process " + pid + " (" +
                           files_.read_line("/proc/" + pid + "/comm") + ")";
    }
    return std::nullopt;
}

} // namespace vmplug
