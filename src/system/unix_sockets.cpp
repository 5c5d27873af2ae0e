#include "system/unix_sockets.hpp"

#include "system/network_namespace.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace vmplug {
namespace {

struct request {
    nlmsghdr header;
    unix_diag_req body;
};

/// Asks for the socket of that inode, 0: for all.
bool send_request(int socket, std::uint32_t inode) {
    request message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = inode != 0 ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_DUMP;
    message.body.sdiag_family = AF_UNIX;
    message.body.udiag_states = ~0U;
    message.body.udiag_ino = inode;
    message.body.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_VFS;
    // No cookie: whichever has the number now.
    message.body.udiag_cookie[0] = message.body.udiag_cookie[1] = ~0U;
    return ::send(socket, &message, sizeof message, 0) == static_cast<ssize_t>(sizeof message);
}

unix_socket parse_socket(const nlmsghdr* header) {
    const auto* body = reinterpret_cast<const unix_diag_msg*>(
        reinterpret_cast<const char*>(header) + NLMSG_HDRLEN);
    unix_socket found;
    found.inode = body->udiag_ino;
    found.listening = body->udiag_state == TCP_LISTEN;
    auto left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *body));
    const auto* attribute = reinterpret_cast<const rtattr*>(body + 1);
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        const auto* data = reinterpret_cast<const char*>(attribute) + RTA_LENGTH(0);
        if (attribute->rta_type == UNIX_DIAG_NAME) found.path.assign(data, RTA_PAYLOAD(attribute));
        if (attribute->rta_type == UNIX_DIAG_PEER)
            std::memcpy(&found.peer, data, sizeof found.peer);
        if (attribute->rta_type == UNIX_DIAG_VFS) {
            unix_diag_vfs file{};
            std::memcpy(&file, data, sizeof file);
            found.file_inode = file.udiag_vfs_ino;
        }
    }
    const bool abstract = !found.path.empty() && found.path.front() == '\0';
    while (!abstract && !found.path.empty() && found.path.back() == '\0')
        found.path.pop_back();
    return found;
}

enum class reading { more, over, refused };

reading take(const char* data, ssize_t size, std::vector<unix_socket>& found) {
    auto left = static_cast<unsigned>(size);
    const auto* header = reinterpret_cast<const nlmsghdr*>(data);
    for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_type == NLMSG_DONE) return reading::over;
        if (header->nlmsg_type == NLMSG_ERROR) return reading::refused;
        found.push_back(parse_socket(header));
        if (!(header->nlmsg_flags & NLM_F_MULTI)) return reading::over;
    }
    return reading::more;
}

/// Nothing when the kernel refuses, or does not answer.
std::optional<std::vector<unix_socket>> ask(int socket, std::uint32_t inode) {
    std::vector<unix_socket> found;
    alignas(nlmsghdr) std::array<char, 32768> buffer;
    if (!send_request(socket, inode)) return std::nullopt;
    for (;;) {
        const auto size = ::recv(socket, buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        const auto state = size > 0 ? take(buffer.data(), size, found) : reading::refused;
        if (state == reading::refused) return std::nullopt;
        if (state == reading::over) return found;
    }
}

} // namespace

result<unix_socket_table> unix_socket_table::open(std::int32_t pid) {
    const auto socket = open_socket_of(pid, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    if (socket.has_error()) return socket.error();
    const timeval deadline{1, 0};
    ::setsockopt(*socket, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    return unix_socket_table(*socket);
}

unix_socket_table::unix_socket_table(unix_socket_table&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)) {}

unix_socket_table::~unix_socket_table() {
    if (socket_ >= 0) ::close(socket_);
}

result<std::vector<unix_socket>> unix_socket_table::read_all() {
    auto found = ask(socket_, 0);
    if (found) return std::move(*found);
    return error{error_code::host_io, "sock_diag", "the kernel does not list its Unix sockets", {}};
}

std::optional<unix_socket> unix_socket_table::find(std::uint32_t inode) {
    if (inode == 0) return std::nullopt;
    auto found = ask(socket_, inode);
    if (!found || found->empty() || found->front().inode != inode) return std::nullopt;
    return std::move(found->front());
}

} // namespace vmplug
