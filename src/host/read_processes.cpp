#include "host/read_processes.hpp"

#include "host/process_sockets.hpp"
#include "host/start_wait.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <unistd.h>

namespace vmplug {
namespace {

constexpr std::size_t command_length_max = 200;
/// What is looked at of the command line of a process that does not look like a QEMU.
constexpr std::size_t glance_bytes = 4096;
/// What is read of a QEMU's command line.
constexpr std::size_t arguments_bytes_max = std::size_t{1} << 20;
constexpr std::size_t status_bytes_max = 8192;

std::optional<std::int32_t> parse_pid(const std::string& name) {
    std::int32_t pid = 0;
    const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (failure != std::errc() || end != name.data() + name.size()) return std::nullopt;
    return pid;
}

std::string process_path(std::int32_t pid) {
    return "/proc/" + std::to_string(pid);
}

/// A number of /proc/PID/stat, field 4 and later; the name in field 2 may hold anything.
std::uint64_t parse_stat(const std::string& stat, int wanted) {
    auto position = stat.rfind(')');
    for (int field = 2; field < wanted && position != std::string::npos; ++field)
        position = stat.find(' ', position + 1);
    std::uint64_t value = 0;
    if (position != std::string::npos)
        std::from_chars(stat.data() + position + 1, stat.data() + stat.size(), value);
    return value;
}

std::string read_boot_id(const file_tree& files) {
    return files.read_line("/proc/sys/kernel/random/boot_id");
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

/// Calls `visit` with what each descriptor of a process refers to.
template <class Visit>
void for_each_open_file(const file_tree& files, std::int32_t pid, Visit visit) {
    const auto directory = process_path(pid) + "/fd";
    for (const auto& name : files.list(directory))
        if (const auto link = files.read_link(directory + "/" + name)) visit(*link);
}

/// "Max locked memory  65536  unlimited  bytes"
void read_memlock_limit(const file_tree& files, qemu_process& process) {
    const auto text = files.read(process_path(process.identity.pid) + "/limits");
    const std::string label = "Max locked memory";
    const auto begin = text.has_value() ? text->find(label) : std::string::npos;
    if (begin == std::string::npos) return;
    const auto soft = text->find_first_not_of(' ', begin + label.size());
    if (soft == std::string::npos) return;
    process.memlock_soft_bytes = ~std::uint64_t{0};
    if (text->compare(soft, 9, "unlimited") != 0)
        std::from_chars(text->data() + soft, text->data() + text->size(),
                        process.memlock_soft_bytes);
}

/// The number behind a label of /proc/PID/status or /proc/meminfo.
std::uint64_t labelled_number(const std::string& text, const std::string& label, int base = 10) {
    std::uint64_t value = 0;
    const auto line = ("\n" + text).find("\n" + label);
    if (line == std::string::npos) return value;
    const auto begin = text.find_first_not_of(" \t", line + label.size());
    if (begin != std::string::npos)
        std::from_chars(text.data() + begin, text.data() + text.size(), value, base);
    return value;
}

void read_rights(const file_tree& files, qemu_process& process) {
    constexpr std::uint64_t cap_ipc_lock = std::uint64_t{1} << 14;
    const auto path = process_path(process.identity.pid) + "/status";
    const auto text = files.read_start(path, status_bytes_max);
    if (text.has_error()) return;
    process.uid = static_cast<std::uint32_t>(labelled_number(*text, "Uid:"));
    process.may_lock_memory = (labelled_number(*text, "CapEff:", 16) & cap_ipc_lock) != 0;
    process.size_bytes = labelled_number(*text, "VmSize:") << 10;
}

/// A file that QEMU was told to read, as it sees it.
std::string read_config_file(const file_tree& files, std::int32_t pid, const std::string& path) {
    const auto below = path.starts_with('/') ? "/root" + path : "/cwd/" + path;
    auto text = files.read_regular(process_path(pid) + below);
    return text.has_value() ? std::move(*text) : std::string();
}

/// What has no monitor need not be looked at further: a script's words, a server's arguments.
bool speaks_of_monitor(const std::string& glance) {
    for (const char* option : {"-qmp", "-mon", "-readconfig"})
        if (glance.find(option) != std::string::npos) return true;
    return glance.find("-serial") != std::string::npos && glance.find("mon:") != std::string::npos;
}

/// A process that may be a guest, while the walk goes on.
struct suspect {
    qemu_process process;
    qemu_command_line words;
    std::string arguments;
    std::int32_t parent = 0;
    bool emulator = false;
};

std::string best_guess(const monitor_claim& claim, const std::string& directory) {
    const std::string human = claim.speaks == qemu_monitor::protocol::hmp ? "hmp:" : "";
    switch (claim.where) {
    case monitor_claim::place::tcp:
        return human + "tcp:" + (claim.host.empty() ? "localhost" : claim.host) + ":" +
               std::to_string(claim.port);
    case monitor_claim::place::abstract_name:
        return (human.empty() ? "qmp:" : human) + "@" + claim.path;
    case monitor_claim::place::descriptor:
        return (human.empty() ? "qmp:fd=" : "hmp:fd=") + std::to_string(claim.descriptor);
    case monitor_claim::place::unix_path:
        break;
    }
    return (human.empty() ? "qmp:" : human) +
           (claim.path.starts_with('/') ? claim.path : directory + "/" + claim.path);
}

class walk {
public:
    walk(const file_tree& files, process_survey& found, process_reading wanted = {})
        : files_(files), found_(found), wanted_(std::move(wanted)), guest_(wanted_.guest) {
        named_pid_ = parse_pid(guest_).value_or(0);
    }

    void visit(std::int32_t pid) {
        if (wanted_.emulators_first && !runs_emulator(pid))
            others_.push_back(pid);
        else
            look_at(pid);
    }

    /// A process that was named, whatever it is.
    std::optional<qemu_process> read_named(std::int32_t pid) {
        named_pid_ = pid;
        auto named = read_suspect(pid);
        if (!named || !look_closely(*named)) return std::nullopt;
        return std::move(named->process);
    }

    /// Who has one guest's socket with it is none of its own.
    void finish() {
        const auto meant = [this](const suspect& each) { return is_meant(each); };
        if (std::ranges::none_of(suspects_, meant))
            for (const auto pid : others_)
                look_at(pid);
        for (std::size_t i = 0; i < suspects_.size();) {
            const bool twin = std::ranges::any_of(suspects_, [&](const suspect& other) {
                return &other != &suspects_[i] && is_shadow(suspects_[i], other);
            });
            if (twin)
                suspects_.erase(suspects_.begin() + static_cast<std::ptrdiff_t>(i));
            else
                ++i;
        }
        for (auto& each : suspects_)
            found_.qemus.push_back(std::move(each.process));
    }

    /// Who is connected: the peers of accepted sockets, looked for among all processes' files.
    void find_clients() {
        auto table = unix_socket_table::open(0);
        const auto sockets =
            table.has_value() ? table->read_all() : result<std::vector<unix_socket>>(table.error());
        if (sockets.has_error()) return;
        std::map<std::uint32_t, const unix_socket*> known;
        for (const auto& socket : *sockets)
            known.emplace(socket.inode, &socket);
        std::map<std::uint32_t, qemu_monitor*> wanted;
        for (auto& process : found_.qemus)
            if (!process.monitors.empty()) note_peers(process, known, wanted);
        if (wanted.empty()) return;
        (void)for_each_process(files_, [&](std::int32_t pid) { match_clients(pid, wanted); });
    }

private:
    bool runs_emulator(std::int32_t pid) const {
        const auto program = files_.follow_link(process_path(pid) + "/exe");
        // What we may not see may be one.
        return program.has_value() ? is_emulator(*program)
                                   : program.error().code == error_code::permission_denied;
    }

    void look_at(std::int32_t pid) {
        if (auto read = read_suspect(pid)) take(std::move(*read));
    }

    /// The other ends of what a QEMU has accepted at its monitors: those sockets have their
    /// listener's name.
    void note_peers(qemu_process& process, const std::map<std::uint32_t, const unix_socket*>& known,
                    std::map<std::uint32_t, qemu_monitor*>& wanted) const {
        const auto descriptors = read_descriptors(files_, process.identity.pid);
        if (descriptors.has_error()) return;
        for (auto& monitor : process.monitors) {
            const auto listener = known.find(monitor.listener);
            if (listener == known.end()) continue;
            for (const auto& [number, link] : *descriptors) {
                const auto socket = known.find(socket_number(link));
                if (socket != known.end() && !socket->second->listening &&
                    socket->second->peer != 0 && socket->second->path == listener->second->path)
                    wanted[socket->second->peer] = &monitor;
            }
        }
    }

    /// Nothing for what cannot be a guest: a kernel thread, or a program that is neither called
    /// QEMU nor speaks of a monitor. Most end here, so that one file is all that is read of them.
    std::optional<suspect> read_suspect(std::int32_t pid) const {
        auto text = files_.read_start(process_path(pid) + "/cmdline", glance_bytes);
        if (text.has_value() && text->size() == glance_bytes)
            text = files_.read(process_path(pid) + "/cmdline");
        if (text.has_error() || text->empty()) return std::nullopt;
        const bool called = is_emulator(text->substr(0, text->find('\0')));
        if (!called && pid != named_pid_ && !speaks_of_monitor(*text)) return std::nullopt;
        suspect read;
        const auto program = files_.follow_link(process_path(pid) + "/exe");
        // Of another user's process we see no more than how it was called.
        read.emulator = program.has_value() ? is_emulator(*program) : called;
        read_words(pid, std::move(*text), read);
        return read;
    }

    void read_words(std::int32_t pid, std::string text, suspect& read) const {
        text.resize(std::min(text.size(), arguments_bytes_max));
        read.words = parse_qemu_command_line(split_arguments(text), [&](const auto& path) {
            return read_config_file(files_, pid, path);
        });
        read.arguments = std::move(text);
        read.process.identity.pid = pid;
        read.process.name = read.words.name;
        read.process.machine = read.words.machine;
        read.process.hosts = read.words.hosts;
    }

    bool is_meant(const suspect& read) const {
        return guest_.empty() || read.process.name == guest_ ||
               read.process.identity.pid == named_pid_;
    }

    void take(suspect read) {
        if (is_meant(read)) {
            if (!look_closely(read)) return;
            // What is not called QEMU has to behave like one.
            if (!read.emulator && read.process.identity.pid != named_pid_ &&
                std::ranges::none_of(read.process.monitors,
                                     [](const auto& monitor) { return monitor.listener != 0; }))
                return;
        } else if (!read.emulator) {
            return;
        }
        suspects_.push_back(std::move(read));
    }

    /// False when the process has ended meanwhile.
    bool look_closely(suspect& read) const {
        auto& process = read.process;
        const auto directory = process_path(process.identity.pid);
        const auto stat = files_.read_start(directory + "/stat", status_bytes_max);
        if (stat.has_error()) return false;
        read.parent = static_cast<std::int32_t>(parse_stat(*stat, 4));
        process.identity.start_time = parse_stat(*stat, 22);
        process.identity.boot_id = boot_id();
        process.program = files_.read_link(directory + "/exe").value_or("");
        read_rights(files_, process);
        // What a device needs; a command does not.
        if (!wanted_.emulators_first) {
            read_memlock_limit(files_, process);
            process.host_memory_bytes =
                labelled_number(files_.read_or_empty("/proc/meminfo"), "MemTotal:") << 10;
        }
        find_monitors(read);
        return true;
    }

    const std::string& boot_id() const {
        if (boot_id_.empty()) boot_id_ = read_boot_id(files_);
        return boot_id_;
    }

    void find_monitors(suspect& read) const {
        auto& process = read.process;
        const auto pid = process.identity.pid;
        if (read.words.monitors.empty()) return;
        const auto descriptors = read_descriptors(files_, pid);
        if (descriptors.has_error()) {
            const auto directory = files_.read_link(process_path(pid) + "/cwd").value_or("");
            for (const auto& claim : read.words.monitors)
                process.monitors.push_back(
                    {claim.speaks,
                     best_guess(claim, directory),
                     "its process's open files cannot be seen: " + descriptors.error().text,
                     0,
                     {}});
            return;
        }
        process_sockets sockets(files_, pid, *descriptors);
        const auto listeners = sockets.listeners();
        for (const auto& claim : read.words.monitors) {
            auto listener = sockets.take(claim);
            if (!listener) continue;
            qemu_monitor monitor;
            monitor.speaks = claim.speaks;
            monitor.address = std::move(listener->address);
            monitor.unusable = claim.unusable.empty() ? listener->unusable : claim.unusable;
            monitor.listener = listener->inode;
            process.monitors.push_back(std::move(monitor));
        }
        find_wait(read, *descriptors, listeners);
    }

    /// A QEMU that waits for its manager is left alone by everybody else.
    void find_wait(suspect& read, const std::map<int, std::string>& descriptors,
                   const std::map<int, std::string>& listeners) const {
        auto& process = read.process;
        if (listeners.empty()) return;
        const auto seen = read_start_wait(files_, process.identity.pid, descriptors, listeners);
        if (seen.is == start_wait::state::yes)
            process.waits_for = listeners.at(seen.descriptor);
        else if (seen.is == start_wait::state::unclear && read.words.waits)
            process.waits_for = "a socket with wait=on, as far as can be told";
        if (process.waits_for.empty()) return;
        for (auto& monitor : process.monitors)
            if (monitor.unusable.empty())
                monitor.unusable =
                    "QEMU waits in its start until somebody connects to " + process.waits_for;
    }

    /// Whether `one` is no guest of its own beside `other`: the start script that keeps the socket
    /// which it made for its QEMU, a fork of a QEMU that is about to run something else, or what
    /// waits for the QEMU that it has put into the background.
    static bool is_shadow(const suspect& one, const suspect& other) {
        const bool same_words = one.arguments == other.arguments;
        if (same_words && one.process.monitors.empty() && !other.process.monitors.empty())
            return other.parent == one.process.identity.pid;
        const bool shared =
            std::ranges::any_of(one.process.monitors, [&](const qemu_monitor& monitor) {
                return monitor.listener != 0 &&
                       std::ranges::find(other.process.monitors, monitor.listener,
                                         &qemu_monitor::listener) != other.process.monitors.end();
            });
        if (!shared) return false;
        if (one.emulator != other.emulator) return other.emulator;
        // A fork has its parent's words; what runs something else is the parent's child.
        if (same_words) return one.parent == other.process.identity.pid;
        return other.parent == one.process.identity.pid;
    }

    void match_clients(std::int32_t pid, const std::map<std::uint32_t, qemu_monitor*>& wanted) {
        for_each_open_file(files_, pid, [&](const std::string& link) {
            const auto monitor = wanted.find(socket_number(link));
            if (monitor == wanted.end()) return;
            monitor->second->held_by = pid;
            monitor->second->holder = read_command(files_, pid);
        });
    }

    const file_tree& files_;
    process_survey& found_;
    process_reading wanted_;
    std::string guest_;
    std::vector<std::int32_t> others_;
    std::int32_t named_pid_ = 0;
    std::vector<suspect> suspects_;
    mutable std::string boot_id_;
};

} // namespace

bool is_emulator(std::string_view path) {
    constexpr std::string_view deleted = " (deleted)";
    if (path.ends_with(deleted)) path.remove_suffix(deleted.size());
    path.remove_prefix(path.rfind('/') + 1);
    // Wrapped programs keep the real one under a hidden name.
    if (path.starts_with('.')) path.remove_prefix(1);
    return path.starts_with("qemu-system-") || path.starts_with("qemu-kvm") || path == "kvm" ||
           path == "qemu";
}

result<void> for_each_process(const file_tree& files,
                              const std::function<void(std::int32_t)>& visit) {
    const auto names = files.read_directory("/proc");
    if (names.has_error()) return names.error();
    for (const auto& name : *names)
        if (const auto pid = parse_pid(name)) visit(*pid);
    return {};
}

std::optional<process_identity> read_identity(const file_tree& files, std::int32_t pid) {
    const auto stat = files.read_start(process_path(pid) + "/stat", status_bytes_max);
    if (stat.has_error() || stat->empty()) return std::nullopt;
    return process_identity{read_boot_id(files), pid, parse_stat(*stat, 22)};
}

process_identity read_own_identity(const file_tree& files) {
    const auto identity = read_identity(files, ::getpid());
    return identity ? *identity : process_identity{"", ::getpid(), 0};
}

std::string read_command(const file_tree& files, std::int32_t pid) {
    const auto text = files.read_start(process_path(pid) + "/cmdline", command_length_max);
    if (text.has_error()) return {};
    auto command = *text;
    while (!command.empty() && command.back() == '\0')
        command.pop_back();
    std::ranges::replace(command, '\0', ' ');
    return command;
}

process_survey read_processes(const file_tree& files, process_reading wanted) {
    process_survey found;
    const bool clients = wanted.monitor_clients;
    walk walking(files, found, std::move(wanted));
    const auto walked = for_each_process(files, [&](std::int32_t pid) { walking.visit(pid); });
    if (walked.has_error()) found.failure = walked.error();
    walking.finish();
    if (clients) walking.find_clients();
    return found;
}

std::optional<qemu_process> read_process(const file_tree& files, std::int32_t pid) {
    process_survey nothing;
    return walk(files, nothing).read_named(pid);
}

std::string describe_device_users(const file_tree& files) {
    std::string users;
    const auto look_at = [&](std::int32_t pid) {
        bool holds = false;
        for_each_open_file(files, pid, [&](const std::string& link) {
            holds = holds || link == "anon_inode:[vfio-device]";
        });
        if (holds)
            users += (users.empty() ? "" : ", ") + std::to_string(pid) + " (" +
                     read_command(files, pid).substr(0, 80) + ")";
    };
    (void)for_each_process(files, look_at);
    return users;
}

std::int32_t find_monitor_client(const file_tree& files, const qemu_process& process,
                                 const std::string& address) {
    process_survey one;
    one.qemus.push_back(process);
    walk(files, one).find_clients();
    for (const auto& monitor : one.qemus.front().monitors)
        if (monitor.address == address) return monitor.held_by;
    return 0;
}

std::int32_t find_socket_client(const file_tree& files, const std::string& path) {
    std::set<std::uint32_t> peers;
    auto table = unix_socket_table::open(0);
    const auto sockets =
        table.has_value() ? table->read_all() : result<std::vector<unix_socket>>(table.error());
    if (sockets.has_error()) return 0;
    for (const auto& socket : *sockets)
        if (!socket.listening && socket.peer != 0 && socket.path == path) peers.insert(socket.peer);
    std::int32_t client = 0;
    if (peers.empty()) return client;
    const auto look_at = [&](std::int32_t pid) {
        if (pid == ::getpid() || client != 0) return;
        for_each_open_file(files, pid, [&](const std::string& link) {
            if (peers.contains(socket_number(link))) client = pid;
        });
    };
    (void)for_each_process(files, look_at);
    return client;
}

} // namespace vmplug
