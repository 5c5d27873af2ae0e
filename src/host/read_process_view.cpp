#include "host/read_process_view.hpp"

#include "host/device_rules.hpp"
#include "system/child_task.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vmplug {
namespace {

constexpr int look_ms = 1000;
constexpr std::size_t groups_max = 256;
constexpr unsigned container_major = 10; ///< misc
constexpr unsigned container_minor = 196;

/// Who the process is to the kernel, when it opens a file.
struct process_rights {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::array<std::uint32_t, groups_max> groups{};
    std::size_t groups_count = 0;
    bool passes_any_mode = false;
    bool known = false;
};

/// What is asked of the child. Everything in it was made before the fork.
struct question {
    std::string its_root;   ///< /proc/PID/root
    std::string our_nodes;  ///< /dev/vfio
    std::string our_dev;    ///< /dev
    std::string device;     ///< sys/bus/pci/devices/ADDRESS, below its root
    std::string group_node; ///< dev/vfio/7
    dev_t group_number = 0; ///< 0: the group has no node of the kernel's yet
    process_rights rights;
};

/// -1: there is no such node, or it could not be asked; else whether it may be opened.
using permission = signed char;

/// What the child saw, as it comes through the pipe.
struct sighting {
    int failure = 0;
    bool same_nodes = false;
    bool container_node = false;
    bool group_node = false;
    bool stale_node = false;
    bool sees_device = false;
    permission container = -1;
    permission group = -1;
};

// From here to the next such line: in the child, system calls alone.

/// Symbolic links of the other root stay below it.
int open_below(int root, const char* path) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT;
    const auto opened = ::syscall(SYS_openat2, root, path, &how, sizeof how);
    if (opened < 0 && errno == ENOSYS) return ::openat(root, path, O_PATH | O_CLOEXEC);
    return static_cast<int>(opened);
}

bool is_same_directory(int one, const char* path) {
    struct stat mine {
    }, its{};
    return one >= 0 && ::stat(path, &mine) == 0 && ::fstat(one, &its) == 0 &&
           mine.st_dev == its.st_dev && mine.st_ino == its.st_ino;
}

/// Its /dev/vfio is ours, or its /dev is and neither of us has the directory yet.
bool sees_our_nodes(int root, const question& asked) {
    if (const int nodes = open_below(root, "dev/vfio"); nodes >= 0)
        return is_same_directory(nodes, asked.our_nodes.c_str());
    return ::access(asked.our_nodes.c_str(), F_OK) != 0 &&
           is_same_directory(open_below(root, "dev"), asked.our_dev.c_str());
}

dev_t node_number(int node) {
    struct stat found {};
    return node >= 0 && ::fstat(node, &found) == 0 && S_ISCHR(found.st_mode) ? found.st_rdev : 0;
}

/// Takes the ids of the process, and none of our own privileges.
bool become(const process_rights& rights) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    return ::syscall(SYS_setgroups, rights.groups_count, rights.groups.data()) == 0 &&
           ::syscall(SYS_setresgid, rights.gid, rights.gid, rights.gid) == 0 &&
           ::syscall(SYS_setresuid, rights.uid, rights.uid, rights.uid) == 0 &&
           ::syscall(SYS_capset, &header, none) == 0;
}

/// faccessat2 on what is open already; -1: the kernel cannot be asked.
permission may(int file, int mode) {
    constexpr int flags = AT_EMPTY_PATH | AT_EACCESS;
    const auto status = ::syscall(SYS_faccessat2, file, "", mode, flags);
    if (status == 0) return 1;
    return errno == ENOSYS || errno == EINVAL ? -1 : 0;
}

permission may_open(int node, const std::array<int, 3>& directories) {
    if (node < 0) return -1;
    struct statvfs system {};
    if (::fstatvfs(node, &system) == 0 && (system.f_flag & ST_NODEV) != 0) return 0;
    for (const int each : directories)
        if (const auto passes = may(each, X_OK); passes != 1) return passes;
    return may(node, R_OK | W_OK);
}

[[noreturn]] void look_and_exit(int report, const question& asked) {
    sighting seen;
    const int root = ::open(asked.its_root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    seen.failure = root < 0 ? errno : 0;
    const int container = open_below(root, "dev/vfio/vfio");
    const int node = open_below(root, asked.group_node.c_str());
    seen.same_nodes = sees_our_nodes(root, asked);
    seen.container_node = node_number(container) == makedev(container_major, container_minor);
    seen.group_node = asked.group_number != 0 && node_number(node) == asked.group_number;
    seen.stale_node = node >= 0 && !seen.group_node;
    seen.sees_device = open_below(root, asked.device.c_str()) >= 0;
    const std::array directories{root, open_below(root, "dev"), open_below(root, "dev/vfio")};
    if (asked.rights.known && (asked.rights.passes_any_mode || become(asked.rights))) {
        seen.container = may_open(container, directories);
        seen.group = may_open(node, directories);
    }
    if (::write(report, &seen, sizeof seen) < 0) ::_exit(1);
    ::_exit(0);
}

// In the parent.

std::optional<bool> told(permission known) {
    return known < 0 ? std::nullopt : std::optional(known == 1);
}

std::vector<std::uint64_t> numbers_after(const std::string& status, const char* label, int base) {
    std::vector<std::uint64_t> numbers;
    const auto at = status.find(label);
    if (at == status.npos) return numbers;
    std::istringstream words(status.substr(at + std::strlen(label),
                                           status.find('\n', at + 1) - at - std::strlen(label)));
    for (std::string word; words >> word;) {
        std::uint64_t number = 0;
        std::from_chars(word.data(), word.data() + word.size(), number, base);
        numbers.push_back(number);
    }
    return numbers;
}

/// "Uid: real effective saved filesystem"; the last decides about files.
process_rights read_rights(const file_tree& files, const std::string& process) {
    constexpr std::uint64_t dac_override = std::uint64_t{1} << CAP_DAC_OVERRIDE;
    process_rights rights;
    const auto status = "\n" + files.read_or_empty(process + "/status");
    const auto uids = numbers_after(status, "\nUid:", 10);
    const auto gids = numbers_after(status, "\nGid:", 10);
    const auto groups = numbers_after(status, "\nGroups:", 10);
    const auto capabilities = numbers_after(status, "\nCapEff:", 16);
    if (uids.size() != 4 || gids.size() != 4 || capabilities.empty() || groups.size() > groups_max)
        return rights;
    rights.uid = static_cast<std::uint32_t>(uids[3]);
    rights.gid = static_cast<std::uint32_t>(gids[3]);
    for (const auto each : groups)
        rights.groups[rights.groups_count++] = static_cast<std::uint32_t>(each);
    // In a user namespace of its own the capability is good for the files of that one alone.
    const bool ours =
        files.read_link(process + "/ns/user") == files.read_link("/proc/self/ns/user");
    rights.passes_any_mode = ours && (capabilities[0] & dac_override) != 0;
    rights.known = true;
    return rights;
}

/// "244:0" in the class of VFIO's groups.
dev_t read_group_number(const file_tree& files, int group) {
    const auto text = files.read_line("/sys/class/vfio/" + std::to_string(group) + "/dev");
    unsigned major = 0;
    unsigned minor = 0;
    const auto* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, major);
    if (read.ec != std::errc() || read.ptr == end || *read.ptr != ':') return 0;
    if (std::from_chars(read.ptr + 1, end, minor).ec != std::errc()) return 0;
    return makedev(major, minor);
}

std::optional<sighting> ask_child(const question& asked) {
    const auto task = start_work([&](int report) { look_and_exit(report, asked); });
    if (task.has_error()) return std::nullopt;
    sighting seen;
    pollfd waiting{task->report, POLLIN, 0};
    const bool answered = ::poll(&waiting, 1, look_ms) == 1 &&
                          ::read(task->report, &seen, sizeof seen) == sizeof seen;
    ::close(task->report);
    if (!answered) ::kill(task->pid, SIGKILL);
    // One that hangs in a file system of the other's ends when that answers.
    if (answered)
        ::waitpid(task->pid, nullptr, 0);
    else
        give_up(*task);
    return answered ? std::optional(seen) : std::nullopt;
}

/// AppArmor says in brackets whether a profile is enforced; SELinux enforces all labels or none.
std::string read_confinement(const file_tree& files, const std::string& process) {
    auto label = files.read_line(process + "/attr/current");
    label = label.substr(0, label.find('\0'));
    if (label.empty() || label == "unconfined") return {};
    if (label.ends_with(')'))
        return label.ends_with("(enforce)") || label.ends_with("(kill)") ? label : std::string();
    auto own = files.read_line("/proc/self/attr/current");
    own = own.substr(0, own.find('\0'));
    if (label == own || files.read_line("/sys/fs/selinux/enforce") == "0") return {};
    return label;
}

/// "Character devices:" of /proc/devices.
std::optional<unsigned> read_vfio_major(const file_tree& files) {
    std::istringstream lines(files.read_or_empty("/proc/devices"));
    for (std::string line; std::getline(lines, line) && !line.starts_with("Block");) {
        std::istringstream words(line);
        unsigned major = 0;
        std::string name;
        if (words >> major >> name && name == "vfio") return major;
    }
    return std::nullopt;
}

std::vector<device_pattern> wanted_numbers(const file_tree& files, dev_t group_number) {
    std::vector<device_pattern> wanted{{container_major, container_minor}};
    if (group_number != 0)
        wanted.push_back({major(group_number), minor(group_number)});
    else
        wanted.push_back({read_vfio_major(files).value_or(0), std::nullopt});
    return wanted;
}

question make_question(const file_tree& files, const std::string& process,
                       const host_address& device, int group) {
    question asked;
    asked.its_root = files.root() + process + "/root";
    asked.our_nodes = files.root() + "/dev/vfio";
    asked.our_dev = files.root() + "/dev";
    asked.device = "sys/bus/pci/devices/" + format_address(device);
    asked.group_node = "dev/vfio/" + std::to_string(group);
    asked.group_number = read_group_number(files, group);
    asked.rights = read_rights(files, process);
    return asked;
}

} // namespace

process_view read_process_view(const file_tree& files, std::int32_t pid, const host_address& device,
                               int group) {
    const auto process = "/proc/" + std::to_string(pid);
    const auto asked = make_question(files, process, device, group);
    process_view view;
    const auto seen = ask_child(asked);
    if (!seen || seen->failure != 0) {
        view.failure = seen ? std::strerror(seen->failure) : "its file systems do not answer";
        return view;
    }
    view.same_nodes = seen->same_nodes;
    view.container_node = seen->container_node;
    view.group_node = seen->group_node;
    view.stale_node = seen->stale_node;
    view.sees_device = seen->sees_device;
    view.passes_any_mode = asked.rights.passes_any_mode;
    view.may_open_container = told(seen->container);
    view.may_open_group = told(seen->group);
    if (asked.rights.known) view.user = "uid " + std::to_string(asked.rights.uid);
    view.confinement = read_confinement(files, process);
    std::tie(view.devices, view.control_group) =
        read_device_rule(files, pid, wanted_numbers(files, asked.group_number));
    return view;
}

} // namespace vmplug
