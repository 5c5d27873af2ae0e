#include "host/device_rules.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vmplug {
namespace {

using rule = process_view::device_rule;

/// Where a hierarchy of control groups is mounted here.
struct hierarchy {
    std::string mount_point;
    std::string root; ///< the control group that is at the mount point
};

/// "ID PARENT DEV ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE SUPER_OPTIONS"
std::optional<hierarchy> find_hierarchy(const file_tree& files, bool unified) {
    std::istringstream lines(files.read_or_empty("/proc/self/mountinfo"));
    for (std::string line; std::getline(lines, line);) {
        const auto dash = line.find(" - ");
        if (dash == line.npos) continue;
        std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
        std::string id, parent, device, type, source, options;
        hierarchy found;
        before >> id >> parent >> device >> found.root >> found.mount_point;
        after >> type >> source >> options;
        const bool devices = ("," + options + ",").find(",devices,") != std::string::npos;
        if (unified ? type == "cgroup2" : type == "cgroup" && devices) return found;
    }
    return std::nullopt;
}

/// The process's control group, "/machine.slice/web.scope"; nothing when it has none there.
std::optional<std::string> group_of(const file_tree& files, std::int32_t pid, bool unified) {
    std::istringstream lines(files.read_or_empty("/proc/" + std::to_string(pid) + "/cgroup"));
    for (std::string line; std::getline(lines, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == line.npos || second == line.npos) continue;
        const auto controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool wanted =
            unified ? line.starts_with("0::") : controllers.find(",devices,") != std::string::npos;
        if (wanted) return line.substr(second + 1);
    }
    return std::nullopt;
}

std::string directory_of(const hierarchy& mounted, const std::string& group) {
    const bool below = mounted.root != "/" && group.starts_with(mounted.root);
    return mounted.mount_point + (below ? group.substr(mounted.root.size()) : group);
}

/// How many programs decide on device nodes in a control group, its ancestors' included; -1: the
/// kernel does not tell.
int count_programs(const std::string& directory) {
    const int group = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0) return -1;
    bpf_attr query;
    std::memset(&query, 0, sizeof query);
    query.query.target_fd = static_cast<std::uint32_t>(group);
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.query_flags = BPF_F_QUERY_EFFECTIVE;
    const auto status = ::syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query);
    const int reason = errno;
    ::close(group);
    // A kernel without such programs runs none.
    if (status != 0) return reason == ENOSYS || reason == EINVAL ? 0 : -1;
    return static_cast<int>(query.query.prog_cnt);
}

std::pair<rule, std::string> read_list(const file_tree& files, const std::string& group,
                                       const std::vector<device_pattern>& wanted) {
    const auto mounted = find_hierarchy(files, false);
    if (!mounted)
        return {rule::unclear, group + ": the devices of its control group are not shown"};
    const auto list = files.read(directory_of(*mounted, group) + "/devices.list");
    if (list.has_error()) return {rule::unclear, group + ": " + list.error().text};
    const bool all = std::ranges::all_of(
        wanted, [&](const device_pattern& each) { return list_allows(*list, each); });
    return {all ? rule::allowed : rule::denied, group};
}

} // namespace

bool list_allows(const std::string& list, const device_pattern& wanted) {
    std::istringstream lines(list);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string type, number, access;
        words >> type >> number >> access;
        const auto colon = number.find(':');
        if (colon == number.npos || (type != "a" && type != "c")) continue;
        const auto major = number.substr(0, colon);
        const auto minor = number.substr(colon + 1);
        const bool minor_fits =
            minor == "*" || (wanted.minor && minor == std::to_string(*wanted.minor));
        const bool both = access.find('r') != access.npos && access.find('w') != access.npos;
        if ((major == "*" || major == std::to_string(wanted.major)) && minor_fits && both)
            return true;
    }
    return false;
}

std::pair<rule, std::string> read_device_rule(const file_tree& files, std::int32_t pid,
                                              const std::vector<device_pattern>& wanted) {
    if (const auto group = group_of(files, pid, false)) {
        auto listed = read_list(files, *group, wanted);
        if (listed.first != rule::allowed) return listed;
    }
    const auto group = group_of(files, pid, true);
    if (!group) return {rule::none, {}};
    const auto mounted = find_hierarchy(files, true);
    // Whoever puts a program in place does so through a mounted hierarchy.
    if (!mounted && *group == "/") return {rule::none, *group};
    if (!mounted) return {rule::unclear, *group + ": control groups are not mounted here"};
    const int programs = count_programs(files.root() + directory_of(*mounted, *group));
    if (programs == 0) return {rule::none, *group};
    if (programs > 0) return {rule::unclear, *group + ": a program decides which it may open"};
    return {rule::unclear, *group + ": the kernel does not say whether a program decides"};
}

} // namespace vmplug
