#include "system/private_directory.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmplug {
namespace {

error unusable(const std::string& path, const std::string& why, const char* remedy = "") {
    return {error_code::journal_unavailable, path, why, remedy};
}

bool is_of_others(const struct stat& found) {
    return found.st_uid != 0 && found.st_uid != ::geteuid();
}

/// Empty when nobody else can have written it.
std::string why_not_private(const struct stat& found) {
    if (is_of_others(found))
        return "it belongs to user " + std::to_string(found.st_uid) +
               ", who can write there what is then believed";
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return "others may write to it, so that it cannot be believed";
    return {};
}

/// Links of others on the way lead wherever they like.
result<void> check_links(const std::string& path) {
    std::filesystem::path part;
    for (const auto& name : std::filesystem::path(path)) {
        part /= name;
        struct stat found {};
        if (::lstat(part.c_str(), &found) != 0) return {};
        if (S_ISLNK(found.st_mode) && is_of_others(found))
            return unusable(part, "it is a symbolic link of user " + std::to_string(found.st_uid));
    }
    return {};
}

/// Those that are missing, for us alone, whatever the umask of the process. Returns 0 or errno.
int make_directories(const std::filesystem::path& path) {
    std::filesystem::path part;
    for (const auto& name : path) {
        part /= name;
        if (::mkdir(part.c_str(), S_IRWXU) == 0 || errno == EEXIST) continue;
        // One that cannot be written may say so of what is there.
        const int reason = errno;
        if (::access(part.c_str(), F_OK) != 0) return reason;
    }
    return 0;
}

} // namespace

bool private_directory::exists(const std::string& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

result<private_directory> private_directory::open(const std::string& path) {
    if (auto links = check_links(path); links.has_error()) return links.error();
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    if (!real) return unusable(path, std::strerror(errno));
    private_directory opened(::open(real.get(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                             real.get());
    struct stat found {};
    if (opened.descriptor_ < 0 || ::fstat(opened.descriptor_, &found) != 0)
        return unusable(path, std::strerror(errno));
    if (const auto why = why_not_private(found); !why.empty())
        return unusable(path, why, "give it to yourself and mode 0700, or name another one");
    return opened;
}

result<private_directory> private_directory::create(const std::string& path) {
    if (auto links = check_links(path); links.has_error()) return links.error();
    if (const int reason = make_directories(path); reason != 0)
        return unusable(path,
                        std::string("cannot create the state directory: ") + std::strerror(reason));
    return open(path);
}

private_directory::private_directory(private_directory&& from) noexcept
    : descriptor_(std::exchange(from.descriptor_, -1)), path_(std::move(from.path_)) {}

private_directory& private_directory::operator=(private_directory&& from) noexcept {
    std::swap(descriptor_, from.descriptor_);
    std::swap(path_, from.path_);
    return *this;
}

private_directory::~private_directory() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

result<void> private_directory::check_file(const std::string& name) const {
    const auto path = path_ + "/" + name;
    struct stat found {};
    if (::fstatat(descriptor_, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};
        return unusable(path, std::strerror(errno));
    }
    constexpr const char* move_it = "move it away, and see who could put it there";
    if (!S_ISREG(found.st_mode)) return unusable(path, "it is no plain file", move_it);
    if (const auto why = why_not_private(found); !why.empty()) return unusable(path, why, move_it);
    return {};
}

} // namespace vmplug
