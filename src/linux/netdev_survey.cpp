#include "linux/netdev_survey.hpp"

#include "host/read_processes.hpp"
#include "port/netdev_rules.hpp"
#include "system/child_task.hpp"
#include "system/link_messages.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>

#include <sys/stat.h>

namespace vmplug {
namespace {

/// The part of `path` below `base`, without its slash; nothing when it is elsewhere.
std::optional<std::string> below(const std::string& base, const std::string& path) {
    if (path == base) return std::string();
    if (!path.starts_with(base + "/")) return std::nullopt;
    return path.substr(base.size() + 1);
}

/// Where in the tree of devices an entry of /sys/class or /sys/bus is.
std::optional<std::string> device_path(const file_tree& files, const std::string& entry) {
    return files.resolve(entry);
}

/// The names of the links that lead below `base`, cheaply: most links lead elsewhere.
bool may_lead_below(const file_tree& files, const std::string& base, const std::string& link) {
    const auto target = files.read_link(link);
    return target && target->find(base.substr(base.rfind('/')) + "/") != target->npos;
}

std::uint64_t parse_inode(std::string_view text) {
    // "net:[4026531840]"
    if (!text.starts_with("net:[")) return 0;
    std::uint64_t inode = 0;
    std::from_chars(text.data() + 5, text.data() + text.size(), inode);
    return inode;
}

/// Mounts of nsfs: what `ip netns add` and container engines make.
void add_mounted(const file_tree& files, const std::string& boot_id,
                 std::map<std::uint64_t, network_namespace>& found) {
    std::istringstream mounts(files.read_or_empty("/proc/self/mountinfo"));
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream words(line);
        std::string id, parent, number, root, point;
        words >> id >> parent >> number >> root >> point;
        const auto inode = parse_inode(root);
        // A blank in the name is written as "\040"; such a one is found by a process, or not.
        if (inode == 0 || point.find('\\') != point.npos) continue;
        network_namespace one;
        one.inode = inode;
        one.path = point;
        one.process.boot_id = boot_id;
        found.emplace(inode, std::move(one));
    }
}

void add_of_processes(const file_tree& files, std::map<std::uint64_t, network_namespace>& found) {
    for (const auto& name : files.list("/proc")) {
        std::int32_t pid = 0;
        const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (bad != std::errc() || end != name.data() + name.size()) continue;
        const auto inode = parse_inode(files.read_link("/proc/" + name + "/ns/net").value_or(""));
        if (inode == 0 || found.contains(inode)) continue;
        const auto process = read_identity(files, pid);
        if (process) found[inode] = {inode, {}, *process};
    }
}

/// What each namespace told; nothing of one that could not be asked.
struct namespace_answers {
    std::map<std::uint32_t, std::string> bytes;
    std::map<std::uint32_t, int> failures;
};

namespace_answers split_pieces(std::string_view pieces) {
    namespace_answers found;
    netlink_piece head{};
    while (pieces.size() >= sizeof head) {
        std::memcpy(&head, pieces.data(), sizeof head);
        pieces.remove_prefix(sizeof head);
        if (head.reason != 0) found.failures[head.which] = head.reason;
        found.bytes[head.which] += pieces.substr(0, head.size_bytes);
        pieces.remove_prefix(std::min<std::size_t>(head.size_bytes, pieces.size()));
    }
    return found;
}

netdev_state to_state(const link_state& link, const std::vector<link_state>& all) {
    netdev_state state;
    state.index = link.index;
    state.name = link.name;
    state.mac = link.mac;
    state.permanent_mac = link.permanent_mac;
    state.mtu = link.mtu;
    state.up = link.up;
    state.addresses = link.addresses;
    for (const auto& name : link.alternative_names)
        if (is_alternative_name(name)) state.alternative_names.push_back(name);
    const auto master = std::ranges::find(all, link.master, &link_state::index);
    if (link.master != 0 && master != all.end()) state.master = master->name;
    return state;
}

/// The place of an interface of our own namespace: sysfs shows it.
std::optional<std::string> place_of(const file_tree& files, const std::string& base,
                                    const link_state& link) {
    const auto entry = "/sys/class/net/" + link.name;
    if (!may_lead_below(files, base, entry)) return std::nullopt;
    const auto path = device_path(files, entry);
    auto place = path ? below(base, *path) : std::nullopt;
    if (!place) return std::nullopt;
    // "virtio3/net/eth0", "net/eth1"
    const auto end = place->rfind("net/");
    if (end == place->npos) return std::nullopt;
    place->erase(end == 0 ? 0 : end - 1);
    return place;
}

/// The place of one of another namespace, whose entry in sysfs is not seen: by its device.
std::optional<std::string> foreign_place_of(const file_tree& files, const std::string& base,
                                            const link_state& link) {
    if (link.parent_bus.empty() || link.parent_name.empty()) return std::nullopt;
    const auto path =
        device_path(files, "/sys/bus/" + link.parent_bus + "/devices/" + link.parent_name);
    return path ? below(base, *path) : std::nullopt;
}

void add_ours(const file_tree& files, const std::string& base, const std::vector<link_state>& links,
              netdev_survey& found) {
    for (const auto& link : links) {
        if (const auto place = place_of(files, base, link)) {
            auto state = to_state(link, links);
            state.place = *place;
            if (const auto port = files.read_number("/sys/class/net/" + link.name + "/dev_port"))
                state.dev_port = static_cast<int>(*port);
            found.netdevs.push_back(std::move(state));
            continue;
        }
        found.names_of_others.insert(link.name);
        found.names_of_others.insert(link.alternative_names.begin(), link.alternative_names.end());
    }
}

void add_foreign(const file_tree& files, const std::string& base, const network_namespace& where,
                 const std::vector<link_state>& links, netdev_survey& found) {
    for (const auto& link : links) {
        const auto place = foreign_place_of(files, base, link);
        if (!place) continue;
        auto state = to_state(link, links);
        state.place = *place;
        state.other_namespace = where;
        found.netdevs.push_back(std::move(state));
    }
}

} // namespace

bool has_netdevs(const file_tree& files, const std::string& base) {
    std::error_code failure;
    std::filesystem::recursive_directory_iterator each(
        files.root() + base, std::filesystem::directory_options::skip_permission_denied, failure);
    // It does not follow links, so it stays below the function.
    for (; !failure && each != std::filesystem::recursive_directory_iterator();
         each.increment(failure))
        if (each->path().filename() == "net" && each->is_directory(failure)) return true;
    return false;
}

std::vector<std::string> netdevs_below(const file_tree& files, const std::string& base) {
    std::vector<std::string> names;
    for (auto& name : files.list("/sys/class/net"))
        if (may_lead_below(files, base, "/sys/class/net/" + name)) names.push_back(std::move(name));
    return names;
}

std::uint64_t network_namespace_inode(const file_tree& files, const std::string& file) {
    struct stat found {};
    return ::stat((files.root() + file).c_str(), &found) == 0 ? found.st_ino : 0;
}

std::vector<network_namespace> read_network_namespaces(const file_tree& files) {
    const auto self = read_own_identity(files);
    const auto ours = parse_inode(files.read_link("/proc/self/ns/net").value_or(""));
    std::map<std::uint64_t, network_namespace> found;
    add_mounted(files, self.boot_id, found);
    add_of_processes(files, found);
    found.erase(ours);
    std::vector<network_namespace> namespaces;
    namespaces.reserve(found.size());
    for (auto& [inode, one] : found)
        namespaces.push_back(std::move(one));
    return namespaces;
}

result<netdev_survey> survey_netdevs(const file_tree& files, const std::string& base,
                                     const std::vector<network_namespace>& namespaces,
                                     const std::string& pieces) {
    const auto answers = split_pieces(pieces);
    if (const auto failure = answers.failures.find(0); failure != answers.failures.end())
        return error{error_code::host_io, "rtnetlink", std::strerror(failure->second), {}};
    netdev_survey found;
    for (const auto& [which, bytes] : answers.bytes) {
        const auto links = parse_links(bytes);
        if (links.has_error() && which == 0) return links.error();
        if (links.has_error()) continue;
        if (which == 0)
            add_ours(files, base, *links, found);
        else if (which <= namespaces.size())
            add_foreign(files, base, namespaces[which - 1], *links, found);
    }
    return found;
}

} // namespace vmplug
