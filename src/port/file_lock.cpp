#include "port/file_lock.hpp"

#include "port/private_directory.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
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

std::string read_holder(int descriptor) {
    std::array<char, 512> text;
    const auto size = ::pread(descriptor, text.data(), text.size(), 0);
    return {text.data(), static_cast<std::size_t>(size > 0 ? size : 0)};
}

} // namespace

result<std::optional<file_lock>> file_lock::try_lock(const std::string& directory,
                                                     const std::string& name,
                                                     const std::string& holder,
                                                     std::string& other) {
    const auto ours = private_directory::create(directory);
    if (ours.has_error()) return ours.error();
    const auto file = file_name(name);
    const auto path = directory + "/" + file;
    if (auto fine = ours->check_file(file); fine.has_error()) return fine.error();
    file_lock lock(::openat(ours->descriptor(), file.c_str(),
                            O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (lock.descriptor_ < 0) return lock_failure(path);
    if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return lock_failure(path);
        other = read_holder(lock.descriptor_);
        return std::optional<file_lock>();
    }
    if (::ftruncate(lock.descriptor_, 0) != 0 ||
        ::pwrite(lock.descriptor_, holder.data(), holder.size(), 0) < 0)
        return lock_failure(path);
    return std::optional<file_lock>(std::move(lock));
}

std::string file_lock::find_holder(const std::string& directory, const std::string& name) {
    const auto path = directory + "/" + file_name(name);
    const file_lock file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat found {};
    if (file.descriptor_ < 0 || ::fstat(file.descriptor_, &found) != 0) return {};
    // "1: FLOCK  ADVISORY  WRITE 4711 00:1c:123 0 EOF"
    const auto inode = ":" + std::to_string(found.st_ino);
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
        std::istringstream words(line);
        std::string number, kind, strictness, access, pid, where;
        words >> number >> kind >> strictness >> access >> pid >> where;
        if (kind == "FLOCK" && where.ends_with(inode)) return read_holder(file.descriptor_);
    }
    return {};
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
