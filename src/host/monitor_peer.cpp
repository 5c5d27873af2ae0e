#include "host/monitor_peer.hpp"

#include "host/process_sockets.hpp"
#include "host/read_processes.hpp"
#include "system/network_namespace.hpp"

#include <algorithm>

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmplug {
namespace {

/// The other end of our connection, as far as the kernel tells.
struct peer_end {
    std::uint32_t inode = 0;      ///< of its socket, 0: not known
    std::int32_t credentials = 0; ///< pid that the kernel noted when it began to listen, 0: none
};

bool is_unix(int socket) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

/// `pid`: a process of the network namespace in which the connection is, 0: our own.
peer_end find_unix_end(int socket, std::int32_t pid) {
    peer_end found;
    ucred noted{};
    socklen_t size = sizeof noted;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &noted, &size) == 0)
        found.credentials = noted.pid;
    struct stat ours {};
    if (::fstat(socket, &ours) != 0) return found;
    // Our end is where it was made: mostly in our own namespace, whatever the other's is.
    for (const auto where : {std::int32_t{0}, pid}) {
        auto table = unix_socket_table::open(where);
        const auto end =
            table.has_value() ? table->find(static_cast<std::uint32_t>(ours.st_ino)) : std::nullopt;
        if (end) {
            found.inode = end->peer;
            break;
        }
        if (pid == 0) break;
    }
    return found;
}

peer_end find_tcp_end(const file_tree& files, int socket, std::int32_t pid) {
    peer_end found;
    tcp_endpoint local, remote;
    if (!read_endpoints(socket, local, remote)) return found;
    for_each_tcp_socket(files, pid, [&](const tcp_socket& each) {
        const bool mirrored = !each.listening && each.local == remote && each.remote == local;
        if (mirrored) found.inode = each.inode;
        return !mirrored;
    });
    return found;
}

peer_end find_end(const file_tree& files, int socket, std::int32_t pid) {
    if (is_unix(socket)) return find_unix_end(socket, pid);
    return find_tcp_end(files, socket, pid == 0 ? ::getpid() : pid);
}

bool holds(const file_tree& files, std::int32_t pid, std::uint32_t inode) {
    const auto descriptors = read_descriptors(files, pid);
    return descriptors.has_value() && std::ranges::any_of(*descriptors, [&](const auto& each) {
               return socket_number(each.second) == inode;
           });
}

std::vector<std::int32_t> find_holders(const file_tree& files, std::uint32_t inode) {
    std::vector<std::int32_t> holders;
    for_each_process(files, [&](std::int32_t pid) {
        if (holds(files, pid, inode)) holders.push_back(pid);
    });
    return holders;
}

std::string name_process(const file_tree& files, std::int32_t pid) {
    return "process " + std::to_string(pid) + " (" + read_command(files, pid).substr(0, 80) + ")";
}

error unproven(const process_identity& meant, const std::string& why) {
    return {error_code::vm_unproven, "process " + std::to_string(meant.pid), why, {}};
}

} // namespace

result<void> prove_peer(const file_tree& files, int socket, const process_identity& meant) {
    const auto now = read_identity(files, meant.pid);
    if (!now || *now != meant) return unproven(meant, "the process has ended");
    const auto end = find_end(files, socket, meant.pid);
    if (end.inode != 0 && holds(files, meant.pid, end.inode)) return {};
    if (end.inode == 0 && end.credentials != 0) {
        // An old kernel: whoever began to listen is all that it tells.
        if (end.credentials == meant.pid) return {};
        return unproven(meant, "the monitor was opened by " + name_process(files, end.credentials));
    }
    if (const auto seen = read_descriptors(files, meant.pid); seen.has_error())
        return unproven(meant, "its open files cannot be seen: " + seen.error().text);
    const auto holders =
        end.inode == 0 ? std::vector<std::int32_t>() : find_holders(files, end.inode);
    if (holders.empty())
        return unproven(meant, "it is not seen to be the one that answers at the monitor");
    return unproven(meant,
                    "another one answers at the monitor: " + name_process(files, holders.front()));
}

result<std::optional<process_identity>> find_peer(const file_tree& files, int socket) {
    const auto end = find_end(files, socket, 0);
    auto holders = end.inode == 0 ? std::vector<std::int32_t>() : find_holders(files, end.inode);
    if (end.inode == 0 && end.credentials > 0) holders.push_back(end.credentials);
    if (holders.empty()) return std::optional<process_identity>();
    if (holders.size() > 1)
        return error{error_code::vm_unproven, name_process(files, holders.front()),
                     "the other end of the monitor is also held by " +
                         name_process(files, holders.back()),
                     "name the guest by its pid"};
    return read_identity(files, holders.front());
}

} // namespace vmplug
