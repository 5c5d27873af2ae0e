#include "monitor/send_descriptor.hpp"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace vmplug {

boost::system::result<std::size_t> send_descriptor(int socket, std::string_view text,
                                                   int descriptor) {
    // sendmsg does not write to it, but its type has no const.
    iovec part{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    const auto sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent > 0) return static_cast<std::size_t>(sent);
    return boost::system::error_code(errno, boost::system::system_category());
}

} // namespace vmplug
