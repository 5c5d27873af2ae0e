#include "host/read_processes.hpp"

#include "host/qemu_command_line.hpp"
#include "port/unix_sockets.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <unistd.h>

namespace vmplug {
namespace {

constexpr std::size_t command_length_max = 200;

std::optional<std::int32_t> parse_pid(const std::string& name) {
    std::int32_t pid = 0;
    const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (failure != std::errc() || end != name.data() + name.size()) return std::nullopt;
    return pid;
}

std::string process_path(std::int32_t pid) {
    return "/proc/" + std::to_string(pid);
}

/// Field 22 of stat; the name in field 2 may hold spaces and brackets.
std::uint64_t parse_start_time(const std::string& stat) {
    auto position = stat.rfind(')');
    for (int field = 2; field < 22 && position != std::string::npos; ++field)
        position = stat.find(' ', position + 1);
    std::uint64_t value = 0;
    if (position != std::string::npos)
        std::from_chars(stat.data() + position + 1, stat.data() + stat.size(), value);
    return value;
}

std::vector<std::string> split_arguments(const std::string& text) {
    std::vector<std::string> arguments;
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\0', begin), text.size());
        arguments.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return arguments;
}

/// The number in "socket:[123]", 0 for anything else.
std::uint32_t socket_inode(const std::string& link) {
    std::uint32_t inode = 0;
    if (link.starts_with("socket:["))
        std::from_chars(link.data() + 8, link.data() + link.size(), inode);
    return inode;
}

/// /dev/vfio/7 names a group; /dev/vfio/devices/vfio3 a device of iommufd.
std::optional<int> vfio_group(const file_tree& files, const std::string& link) {
    int number = -1;
    if (link.starts_with("/dev/vfio/devices/")) {
        const auto path = "/sys/class/vfio-dev/" + link.substr(18) + "/device/iommu_group";
        const auto group = files.read_link_name(path).value_or("");
        std::from_chars(group.data(), group.data() + group.size(), number);
    } else if (link.starts_with("/dev/vfio/")) {
        std::from_chars(link.data() + 10, link.data() + link.size(), number);
    }
    return number >= 0 ? std::optional(number) : std::nullopt;
}

template <class Visit>
void for_each_process(const file_tree& files, Visit visit) {
    for (const auto& name : files.list("/proc"))
        if (const auto pid = parse_pid(name)) visit(*pid);
}

/// Calls `visit` with what each descriptor of a process refers to.
template <class Visit>
void for_each_open_file(const file_tree& files, std::int32_t pid, Visit visit) {
    const auto directory = process_path(pid) + "/fd";
    for (const auto& name : files.list(directory))
        if (const auto link = files.read_link(directory + "/" + name)) visit(*link);
}

bool is_qemu(const std::string& comm) {
    return comm.starts_with("qemu") || comm == "kvm";
}

/// "Max locked memory  65536  unlimited  bytes"
void read_memlock_limits(const file_tree& files, qemu_process& process) {
    const auto text = files.read(process_path(process.identity.pid) + "/limits");
    const std::string label = "Max locked memory";
    const auto begin = text.has_value() ? text->find(label) : std::string::npos;
    if (begin == std::string::npos) return;
    std::size_t position = begin + label.size();
    for (auto* value : {&process.memlock_soft_bytes, &process.memlock_hard_bytes}) {
        position = text->find_first_not_of(' ', position);
        if (position == std::string::npos) return;
        *value = ~std::uint64_t{0};
        if (text->compare(position, 9, "unlimited") != 0)
            std::from_chars(text->data() + position, text->data() + text->size(), *value);
        position = text->find(' ', position);
    }
}

void read_rights(const file_tree& files, qemu_process& process) {
    constexpr std::uint64_t cap_ipc_lock = std::uint64_t{1} << 14;
    const auto text = files.read(process_path(process.identity.pid) + "/status");
    if (text.has_error()) return;
    if (const auto uid = text->find("\nUid:\t"); uid != std::string::npos)
        std::from_chars(text->data() + uid + 6, text->data() + text->size(), process.uid);
    std::uint64_t capabilities = 0;
    if (const auto line = text->find("\nCapEff:\t"); line != std::string::npos)
        std::from_chars(text->data() + line + 9, text->data() + text->size(), capabilities, 16);
    process.may_lock_memory = (capabilities & cap_ipc_lock) != 0;
}

class walk {
public:
    walk(const file_tree& files, process_survey& found) : files_(files), found_(found) {}

    void visit(std::int32_t pid, bool group_users) {
        if (group_users)
            for (const int group : open_groups(pid))
                found_.group_users[group].push_back({pid, read_command(files_, pid)});
        if (is_qemu(files_.read_line(process_path(pid) + "/comm"))) read_qemu(pid);
    }

    /// Who is connected: the peers of accepted sockets, looked for among all processes' files.
    void find_clients() {
        std::map<std::uint32_t, qemu_monitor*> wanted;
        for (auto& process : found_.qemus)
            for (auto& monitor : process.monitors)
                for (const auto& socket : sockets())
                    if (!socket.listening && socket.peer != 0 &&
                        socket.path == monitor.address.substr(4))
                        wanted[socket.peer] = &monitor;
        if (wanted.empty()) return;
        for_each_process(files_, [&](std::int32_t pid) { match_clients(pid, wanted); });
    }

private:
    /// Read when they are first needed: most commands never do.
    const std::vector<unix_socket>& sockets() const {
        if (!sockets_) sockets_ = read_unix_sockets();
        return *sockets_;
    }

    std::set<int> open_groups(std::int32_t pid) const {
        std::set<int> groups;
        for_each_open_file(files_, pid, [&](const std::string& link) {
            if (const auto group = vfio_group(files_, link)) groups.insert(*group);
        });
        return groups;
    }

    std::string socket_path(std::int32_t pid, int descriptor) const {
        const auto link = files_.read_link(process_path(pid) + "/fd/" + std::to_string(descriptor));
        const auto inode = link ? socket_inode(*link) : 0;
        const auto found = std::ranges::find(sockets(), inode, &unix_socket::inode);
        return inode == 0 || found == sockets().end() ? std::string() : found->path;
    }

    void read_qemu(std::int32_t pid) {
        const auto text = files_.read(process_path(pid) + "/cmdline");
        const auto identity = read_identity(files_, pid);
        if (text.has_error() || text->empty() || !identity) return;
        qemu_process process;
        process.identity = *identity;
        process.program = files_.read_link(process_path(pid) + "/exe").value_or("");
        const auto directory = files_.read_link(process_path(pid) + "/cwd").value_or("");
        parse_qemu_command_line(
            split_arguments(*text), directory,
            [&](int descriptor) { return socket_path(pid, descriptor); }, process);
        read_rights(files_, process);
        read_memlock_limits(files_, process);
        found_.qemus.push_back(std::move(process));
    }

    void match_clients(std::int32_t pid, const std::map<std::uint32_t, qemu_monitor*>& wanted) {
        for_each_open_file(files_, pid, [&](const std::string& link) {
            const auto monitor = wanted.find(socket_inode(link));
            if (monitor == wanted.end()) return;
            monitor->second->held_by = pid;
            monitor->second->holder = read_command(files_, pid);
        });
    }

    const file_tree& files_;
    process_survey& found_;
    mutable std::optional<std::vector<unix_socket>> sockets_;
};

} // namespace

std::optional<process_identity> read_identity(const file_tree& files, std::int32_t pid) {
    const auto stat = files.read_line(process_path(pid) + "/stat");
    if (stat.empty()) return std::nullopt;
    return process_identity{files.read_line("/proc/sys/kernel/random/boot_id"), pid,
                            parse_start_time(stat)};
}

process_identity read_own_identity(const file_tree& files) {
    const auto identity = read_identity(files, ::getpid());
    return identity ? *identity : process_identity{"", ::getpid(), 0};
}

std::string read_command(const file_tree& files, std::int32_t pid) {
    auto text = files.read(process_path(pid) + "/cmdline");
    if (text.has_error()) return {};
    auto command = text->substr(0, command_length_max);
    while (!command.empty() && command.back() == '\0')
        command.pop_back();
    std::ranges::replace(command, '\0', ' ');
    return command;
}

process_survey read_processes(const file_tree& files, process_reading wanted) {
    process_survey found;
    // Without a node of a group nobody can have one open: the walk through all open files is saved.
    const auto nodes = files.list("/dev/vfio");
    const bool any_group =
        std::ranges::any_of(nodes, [](const auto& name) { return name != "vfio"; });
    wanted.group_users = wanted.group_users && any_group;
    walk walking(files, found);
    for_each_process(files, [&](std::int32_t pid) { walking.visit(pid, wanted.group_users); });
    if (wanted.monitor_clients) walking.find_clients();
    return found;
}

std::string describe_device_users(const file_tree& files) {
    std::string users;
    for_each_process(files, [&](std::int32_t pid) {
        bool holds = false;
        for_each_open_file(files, pid, [&](const std::string& link) {
            holds = holds || link == "anon_inode:[vfio-device]";
        });
        if (holds)
            users += (users.empty() ? "" : ", ") + std::to_string(pid) + " (" +
                     read_command(files, pid).substr(0, 80) + ")";
    });
    return users;
}

std::int32_t find_socket_client(const file_tree& files, const std::string& path) {
    std::set<std::uint32_t> peers;
    for (const auto& socket : read_unix_sockets())
        if (!socket.listening && socket.peer != 0 && socket.path == path) peers.insert(socket.peer);
    std::int32_t client = 0;
    if (peers.empty()) return client;
    for_each_process(files, [&](std::int32_t pid) {
        if (pid == ::getpid() || client != 0) return;
        for_each_open_file(files, pid, [&](const std::string& link) {
            if (peers.contains(socket_inode(link))) client = pid;
        });
    });
    return client;
}

} // namespace vmplug
