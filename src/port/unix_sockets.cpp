#include "port/unix_sockets.hpp"

#include <array>
#include <cstring>

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

bool send_request(int socket) {
    request message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.body.sdiag_family = AF_UNIX;
    message.body.udiag_states = ~0U;
    message.body.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER;
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
    }
    while (!found.path.empty() && found.path.back() == '\0')
        found.path.pop_back();
    return found;
}

/// Returns whether more is to come.
bool take(const char* data, ssize_t size, std::vector<unix_socket>& found) {
    auto left = static_cast<unsigned>(size);
    const auto* header = reinterpret_cast<const nlmsghdr*>(data);
    for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) return false;
        found.push_back(parse_socket(header));
    }
    return true;
}

} // namespace

std::vector<unix_socket> read_unix_sockets() {
    std::vector<unix_socket> found;
    const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (socket < 0) return found;
    const timeval deadline{1, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    alignas(nlmsghdr) static std::array<char, 32768> buffer;
    bool more = send_request(socket);
    while (more) {
        const auto size = ::recv(socket, buffer.data(), buffer.size(), 0);
        more = size > 0 && take(buffer.data(), size, found);
    }
    ::close(socket);
    return found;
}

} // namespace vmplug
