#include "system/file_lock.hpp"

#include "system/fork_guard.hpp"
#include "system/private_directory.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace vmplug {
namespace {

std::mutex held_mutex;
std::set<int> held;

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

/// "1: FLOCK  ADVISORY  WRITE 4711 00:1c:123 0 EOF". Some file systems show files under another
/// device than the kernel has for them (btrfs), but never one with a major number.
bool names_file(const std::string& where, const struct stat& file) {
    unsigned major_number = 0;
    unsigned minor_number = 0;
    unsigned long inode = 0;
    if (std::sscanf(where.c_str(), "%x:%x:%lu", &major_number, &minor_number, &inode) != 3)
        return false;
    if (inode != file.st_ino || major_number != major(file.st_dev)) return false;
    return major_number == 0 || minor_number == minor(file.st_dev);
}

/// The process that has the lock, as the kernel tells; 0 if it is in another PID namespace.
std::optional<long> find_process(int descriptor) {
    struct stat file {};
    if (::fstat(descriptor, &file) != 0) return std::nullopt;
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
        std::istringstream words(line);
        std::string number, kind, strictness, access, where;
        long pid = 0;
        words >> number >> kind >> strictness >> access >> pid >> where;
        if (kind == "FLOCK" && names_file(where, file)) return std::max(pid, 0L);
    }
    return std::nullopt;
}

/// Whether one of our own locks is on that file.
bool is_held(int descriptor) {
    struct stat wanted {};
    if (::fstat(descriptor, &wanted) != 0) return true;
    const std::lock_guard guard(held_mutex);
    return std::ranges::any_of(held, [&](int each) {
        struct stat found {};
        return ::fstat(each, &found) == 0 && found.st_ino == wanted.st_ino &&
               found.st_dev == wanted.st_dev;
    });
}

/// A child that hangs in the kernel has the lock from its parent, under whose number the kernel
/// keeps it; in another PID namespace that number is none.
bool has_ended(std::optional<long> pid, int descriptor) {
    if (pid == ::getpid()) return !is_held(descriptor);
    return !pid || (*pid > 0 && ::kill(static_cast<pid_t>(*pid), 0) != 0 && errno == ESRCH);
}

/// What the holder wrote, if it is its own: one that has only just locked the file has written
/// nothing yet, and what is there is of the one before.
std::string describe_holder(int descriptor, std::optional<long> pid) {
    constexpr const char* in_kernel =
        ", which has ended; what it asked of the kernel is still under way";
    if (!pid) return std::string("a process") + in_kernel;
    if (*pid == 0) return "a process of another PID namespace";
    std::array<char, 512> text;
    const auto size = ::pread(descriptor, text.data(), text.size(), 0);
    const auto process = "process " + std::to_string(*pid);
    std::string written(text.data(), static_cast<std::size_t>(size > 0 ? size : 0));
    if (!written.starts_with(process + " ")) written = process;
    return has_ended(pid, descriptor) ? written + in_kernel : written;
}

/// Takes the lock, or says who has it. Between the two somebody may have given it back.
bool take(int descriptor, std::optional<long>& pid) {
    for (int tries = 0; tries < 2; ++tries) {
        if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK) return false;
        pid = find_process(descriptor);
        if (pid) break;
    }
    errno = EWOULDBLOCK;
    return false;
}

} // namespace

result<std::optional<file_lock>> file_lock::try_lock(const std::string& directory,
                                                     const std::string& name,
                                                     const std::string& holder, std::string& other,
                                                     bool* ended) {
    const auto ours = private_directory::create(directory);
    if (ours.has_error()) return ours.error();
    const auto file = file_name(name);
    const auto path = directory + "/" + file;
    if (auto fine = ours->check_file(file); fine.has_error()) return fine.error();
    file_lock lock(::openat(ours->descriptor(), file.c_str(),
                            O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (lock.descriptor_ < 0) return lock_failure(path);
    std::optional<long> pid;
    if (!take(lock.descriptor_, pid)) {
        if (errno != EWOULDBLOCK) return lock_failure(path);
        other = describe_holder(lock.descriptor_, pid);
        if (ended) *ended = has_ended(pid, lock.descriptor_);
        return std::optional<file_lock>();
    }
    lock.held_ = true;
    {
        const std::lock_guard guard(held_mutex);
        held.insert(lock.descriptor_);
    }
    if (::ftruncate(lock.descriptor_, 0) != 0 ||
        ::pwrite(lock.descriptor_, holder.data(), holder.size(), 0) < 0)
        return lock_failure(path);
    return std::optional<file_lock>(std::move(lock));
}

std::string file_lock::find_holder(const std::string& directory, const std::string& name) {
    const auto path = directory + "/" + file_name(name);
    const file_lock file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file.descriptor_ < 0) return {};
    const auto pid = find_process(file.descriptor_);
    return pid ? describe_holder(file.descriptor_, *pid) : std::string();
}

file_lock::file_lock(file_lock&& from) noexcept
    : descriptor_(std::exchange(from.descriptor_, -1)), held_(std::exchange(from.held_, false)) {}

file_lock& file_lock::operator=(file_lock&& from) noexcept {
    std::swap(descriptor_, from.descriptor_);
    std::swap(held_, from.held_);
    return *this;
}

file_lock::~file_lock() {
    std::unique_lock<std::mutex> no_child_begins;
    if (held_) {
        no_child_begins = std::unique_lock(fork_guard());
        const std::lock_guard guard(held_mutex);
        held.erase(descriptor_);
    }
    if (descriptor_ >= 0) ::close(descriptor_);
}

} // namespace vmplug
