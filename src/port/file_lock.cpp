#include "port/file_lock.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmplug {
namespace {

/// Names come from device addresses and socket paths: one flat name each.
std::string file_name(const std::string& name) {
    std::string safe;
    for (const char c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':';
        safe += plain ? c : '_';
    }
    return safe;
}

error lock_failure(const std::string& path) {
    return {error_code::journal_unavailable, path, std::strerror(errno), {}};
}

} // namespace

result<std::optional<file_lock>> file_lock::try_lock(const std::string& directory,
                                                     const std::string& name,
                                                     const std::string& holder,
                                                     std::string& other) {
    ::mkdir(directory.c_str(), 0700);
    const auto path = directory + "/" + file_name(name);
    file_lock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (lock.descriptor_ < 0) return lock_failure(path);
    if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return lock_failure(path);
        std::array<char, 512> text;
        const auto size = ::pread(lock.descriptor_, text.data(), text.size(), 0);
        other.assign(text.data(), static_cast<std::size_t>(size > 0 ? size : 0));
        return std::optional<file_lock>();
    }
    if (::ftruncate(lock.descriptor_, 0) != 0 ||
        ::pwrite(lock.descriptor_, holder.data(), holder.size(), 0) < 0)
        return lock_failure(path);
    return std::optional<file_lock>(std::move(lock));
}

file_lock::file_lock(file_lock&& from) noexcept
    : descriptor_(std::exchange(from.descriptor_, -1)) {}

file_lock& file_lock::operator=(file_lock&& from) noexcept {
    std::swap(descriptor_, from.descriptor_);
    return *this;
}

file_lock::~file_lock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

} // namespace vmplug
