#include "repl/history_file.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmplug {
namespace {

bool is_another_users(const std::string& path) {
    struct stat found {};
    return ::stat(path.c_str(), &found) == 0 && found.st_uid != ::geteuid();
}

bool is_own_directory(const std::string& path) {
    struct stat found {};
    return ::lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode) &&
           found.st_uid == ::geteuid();
}

/// Not a link, a pipe, or a second name of something else.
bool is_own_file(int descriptor) {
    struct stat found {};
    return ::fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode) &&
           found.st_uid == ::geteuid() && found.st_nlink == 1;
}

} // namespace

open_file open_history(const std::string& path, bool to_write) {
    const int flags = to_write ? O_WRONLY | O_CREAT : O_RDONLY;
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (descriptor < 0) return nullptr;
    const bool usable = is_own_file(descriptor) && (!to_write || ::ftruncate(descriptor, 0) == 0);
    open_file file(usable ? ::fdopen(descriptor, to_write ? "w" : "r") : nullptr);
    if (!file) ::close(descriptor);
    return file;
}

std::string find_history_file() {
    const char* state = std::getenv("XDG_STATE_HOME");
    const char* home = std::getenv("HOME");
    const bool named = state && *state;
    if (!named && !(home && *home)) return {};
    const std::string base = named ? state : home;
    if (is_another_users(base)) return {};
    const auto directory = (named ? base : base + "/.local/state") + "/vmplug";
    std::error_code failed;
    std::filesystem::create_directories(directory, failed);
    return is_own_directory(directory) ? directory + "/history" : std::string();
}

} // namespace vmplug
