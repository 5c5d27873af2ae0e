#include "system/socket_file.hpp"

#include <array>
#include <climits>

#include <linux/sockios.h>
#include <linux/un.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vmplug {
namespace {

/// Closes what it holds.
struct holder {
    int value;
    explicit holder(long opened) : value(static_cast<int>(opened)) {}
    holder(const holder&) = delete;
    holder& operator=(const holder&) = delete;
    ~holder() {
        if (value >= 0) ::close(value);
    }
};

/// The path of an open file, empty when it does not lead to it (any more).
std::string path_of(int file) {
    std::array<char, PATH_MAX> text;
    const auto size =
        ::readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), text.data(), text.size());
    if (size <= 0 || text.front() != '/') return {};
    std::string path(text.data(), static_cast<std::size_t>(size));
    struct stat meant {
    }, there{};
    if (::fstat(file, &meant) != 0 || ::stat(path.c_str(), &there) != 0 ||
        meant.st_ino != there.st_ino || meant.st_dev != there.st_dev)
        return {};
    return path;
}

} // namespace

std::string read_socket_file(std::int32_t pid, int descriptor) {
    const holder process(::syscall(SYS_pidfd_open, pid, 0));
    if (process.value < 0) return {};
    const holder socket(::syscall(SYS_pidfd_getfd, process.value, descriptor, 0));
    if (socket.value < 0) return {};
    const holder file(::ioctl(socket.value, SIOCUNIXFILE));
    return file.value < 0 ? std::string() : path_of(file.value);
}

} // namespace vmplug
