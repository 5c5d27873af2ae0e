#include "host/node_users.hpp"

#include "host/read_devices.hpp"
#include "host/read_processes.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <unistd.h>

namespace vmplug {
namespace {

/// What a node in /dev belongs to.
struct node_owner {
    std::optional<host_address> function;
    std::optional<int> group;
    std::string name; ///< e.g. "uio/uio0"
};

using node_owners = std::map<device_number, node_owner>;

/// "240:0"
std::optional<device_number> parse_number(const std::string& text, bool block) {
    device_number number{block, 0, 0};
    const auto* end = text.data() + text.size();
    const auto major = std::from_chars(text.data(), end, number.major);
    if (major.ec != std::errc() || major.ptr == end || *major.ptr != ':') return std::nullopt;
    const auto minor = std::from_chars(major.ptr + 1, end, number.minor);
    return minor.ec == std::errc() ? std::optional(number) : std::nullopt;
}

/// "7", or "noiommu-7" of a group that VFIO made for a device without an IOMMU.
std::optional<int> parse_group(std::string_view name) {
    constexpr std::string_view without = "noiommu-";
    if (name.starts_with(without)) name.remove_prefix(without.size());
    int group = -1;
    const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), group);
    if (failure != std::errc() || end != name.data() + name.size()) return std::nullopt;
    return group;
}

std::optional<int> group_of(const std::vector<pci_function>& functions,
                            const host_address& address) {
    const auto found = std::ranges::find(functions, address, &pci_function::address);
    return found == functions.end() ? std::nullopt : found->iommu_group;
}

/// Every number that the kernel has given out, with the device in sysfs that has it.
node_owners read_owners(const file_tree& files, const std::vector<pci_function>& functions,
                        const function_paths& paths) {
    node_owners owners;
    for (const bool block : {false, true}) {
        const std::string directory = block ? "/sys/dev/block/" : "/sys/dev/char/";
        for (const auto& entry : files.list(directory)) {
            const auto number = parse_number(entry, block);
            const auto path = number ? follow_sysfs_link(files, directory + entry) : std::nullopt;
            if (!path) continue;
            node_owner owner;
            owner.name = path->substr(path->rfind('/') + 1);
            owner.function = paths.owner_of(*path);
            if (!owner.function && path->find("/vfio/") != path->npos)
                owner.group = parse_group(owner.name);
            // A device of iommufd: who has it open has the group.
            if (owner.function && path->find("/vfio-dev/") != path->npos)
                owner.group = group_of(functions, *owner.function);
            if (owner.function || owner.group) owners.emplace(*number, std::move(owner));
        }
    }
    return owners;
}

/// The files of a function that move its hardware, and the name by which a person knows one; its
/// other attributes are only read or written.
std::string file_of_function(const std::string& link) {
    const auto name = link.substr(link.rfind('/') + 1);
    const bool drives = name == "config" || name.starts_with("resource");
    return drives ? name : std::string();
}

class walk {
public:
    walk(const file_tree& files, const std::vector<pci_function>& functions)
        : files_(files), paths_(paths_of(functions)),
          owners_(read_owners(files, functions, paths_)) {}

    node_users run() {
        const auto all = files_.read_directory("/proc");
        if (all.has_error()) {
            found_.not_seen = "/proc cannot be listed: " + all.error().text;
            return std::move(found_);
        }
        for (const auto& name : *all) {
            std::int32_t pid = 0;
            const auto [end, failure] =
                std::from_chars(name.data(), name.data() + name.size(), pid);
            const bool is_pid = failure == std::errc() && end == name.data() + name.size();
            if (is_pid && pid != ::getpid()) visit(pid);
        }
        return std::move(found_);
    }

private:
    void visit(std::int32_t pid) {
        const auto directory = "/proc/" + std::to_string(pid) + "/fd";
        const auto descriptors = files_.read_directory(directory);
        if (descriptors.has_error()) {
            // It has ended, or is somebody else's.
            if (descriptors.error().code == error_code::permission_denied)
                found_.not_seen = "this user may not see the open files of process " +
                                  std::to_string(pid) + " (" +
                                  files_.read_line("/proc/" + std::to_string(pid) + "/comm") + ")";
            return;
        }
        std::set<std::string> told;
        for (const auto& descriptor : *descriptors) {
            const auto path = directory + "/" + descriptor;
            const auto kind = files_.inspect(path);
            if (kind.node)
                take_node(pid, *kind.node, told);
            else if (kind.in_sysfs)
                take_file(pid, files_.read_link(path).value_or(""), told);
        }
    }

    void take_node(std::int32_t pid, const device_number& number, std::set<std::string>& told) {
        const auto owner = owners_.find(number);
        if (owner == owners_.end() || !told.insert(owner->second.name).second) return;
        if (owner->second.group)
            found_.by_group[*owner->second.group].push_back({pid, read_command(files_, pid)});
        else
            add(*owner->second.function, pid, owner->second.name);
    }

    void take_file(std::int32_t pid, const std::string& link, std::set<std::string>& told) {
        const auto name = file_of_function(link);
        if (name.empty() || !told.insert(link).second) return;
        if (const auto owner = paths_.owner_of(link)) add(*owner, pid, name);
    }

    void add(const host_address& owner, std::int32_t pid, const std::string& node) {
        found_.by_function[owner].push_back({device_use::kind::open,
                                             "process " + std::to_string(pid) + " (" +
                                                 read_command(files_, pid).substr(0, 60) +
                                                 ") has its " + node + " open",
                                             pid});
    }

    const file_tree& files_;
    function_paths paths_;
    node_owners owners_;
    node_users found_;
};

} // namespace

node_users read_node_users(const file_tree& files, const std::vector<pci_function>& functions) {
    return walk(files, functions).run();
}

} // namespace vmplug
