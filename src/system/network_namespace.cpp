#include "system/network_namespace.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmplug {
namespace {

constexpr const char* our_namespace = "/proc/thread-self/ns/net";

std::string namespace_of(std::int32_t pid) {
    return "/proc/" + std::to_string(pid) + "/ns/net";
}

error failure(const std::string& where, int reason) {
    const bool denied = reason == EACCES || reason == EPERM;
    return {denied ? error_code::permission_denied : error_code::host_io, where,
            std::strerror(reason), denied ? "repeat it as root" : ""};
}

result<int> told(int opened, const char* where) {
    if (opened < 0) return failure(where, errno);
    return opened;
}

/// Nothing may come between the two changes of namespace: no wait, no other use of this thread.
result<int> open_inside(int ours, int theirs, const std::string& where, int domain, int type,
                        int protocol) {
    if (::setns(theirs, CLONE_NEWNET) != 0) return failure(where, errno);
    const int opened = ::socket(domain, type | SOCK_CLOEXEC, protocol);
    const int reason = errno;
    // All that this process says of the network would be said of another one.
    if (::setns(ours, CLONE_NEWNET) != 0) std::abort();
    if (opened < 0) return failure(where, reason);
    return opened;
}

} // namespace

bool shares_our_network(std::int32_t pid) {
    struct stat ours {
    }, theirs{};
    return ::stat(our_namespace, &ours) == 0 && ::stat(namespace_of(pid).c_str(), &theirs) == 0 &&
           ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

result<int> open_socket_of(std::int32_t pid, int domain, int type, int protocol) {
    if (pid == 0 || shares_our_network(pid))
        return told(::socket(domain, type | SOCK_CLOEXEC, protocol), "socket");
    const auto where = namespace_of(pid);
    const int ours = ::open(our_namespace, O_RDONLY | O_CLOEXEC);
    if (ours < 0) return failure(our_namespace, errno);
    const int theirs = ::open(where.c_str(), O_RDONLY | O_CLOEXEC);
    result<int> opened = failure(where, errno);
    if (theirs >= 0) opened = open_inside(ours, theirs, where, domain, type, protocol);
    if (theirs >= 0) ::close(theirs);
    ::close(ours);
    return opened;
}

} // namespace vmplug
