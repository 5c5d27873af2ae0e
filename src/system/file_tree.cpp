#include "system/file_tree.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace vmplug {
namespace {

struct descriptor {
    int value;
    explicit descriptor(int opened) : value(opened) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() {
        if (value >= 0) ::close(value);
    }
};

error read_failure(const std::string& path, int reason) {
    const bool denied = reason == EACCES || reason == EPERM;
    return {denied ? error_code::permission_denied : error_code::host_io,
            path,
            std::strerror(reason),
            {}};
}

} // namespace

result<std::string> file_tree::read(const std::string& path) const {
    const descriptor file(::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.value < 0) return read_failure(path, errno);
    std::string text;
    std::array<char, 16384> part;
    while (text.size() < file_bytes_max) {
        const auto size = ::read(file.value, part.data(), part.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return read_failure(path, errno);
        if (size == 0) break;
        text.append(part.data(), static_cast<std::size_t>(size));
    }
    return text;
}

result<std::string> file_tree::read_regular(const std::string& path) const {
    const descriptor place(::open((root_ + path).c_str(), O_PATH | O_CLOEXEC));
    struct stat found {};
    if (place.value < 0 || ::fstat(place.value, &found) != 0) return read_failure(path, errno);
    if (!S_ISREG(found.st_mode)) return read_failure(path, EINVAL);
    // The very file that was looked at.
    return file_tree().read("/proc/self/fd/" + std::to_string(place.value));
}

result<std::string> file_tree::read_start(const std::string& path, std::size_t bytes_max) const {
    const descriptor file(::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.value < 0) return read_failure(path, errno);
    std::string text(bytes_max, '\0');
    ssize_t size = 0;
    do
        size = ::read(file.value, text.data(), text.size());
    while (size < 0 && errno == EINTR);
    if (size < 0) return read_failure(path, errno);
    text.resize(static_cast<std::size_t>(size));
    return text;
}

result<std::string> file_tree::read_at(const std::string& path, std::uint64_t offset,
                                       std::size_t size) const {
    const descriptor file(::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.value < 0) return read_failure(path, errno);
    std::string text(size, '\0');
    const auto got = ::pread(file.value, text.data(), size, static_cast<off_t>(offset));
    if (got == static_cast<ssize_t>(size)) return text;
    return read_failure(path, got < 0 ? errno : ENODATA);
}

void file_tree::for_each_line(const std::string& path,
                              const std::function<bool(std::string_view)>& visit) const {
    const descriptor file(::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    std::string rest;
    std::array<char, 65536> part;
    for (;;) {
        const auto size = file.value < 0 ? 0 : ::read(file.value, part.data(), part.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0 || rest.size() > file_bytes_max) break;
        rest.append(part.data(), static_cast<std::size_t>(size));
        std::size_t begin = 0;
        for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n', begin)) {
            if (!visit(std::string_view(rest).substr(begin, end - begin))) return;
            begin = end + 1;
        }
        rest.erase(0, begin);
    }
    if (!rest.empty()) visit(rest);
}

std::string file_tree::read_or_empty(const std::string& path) const {
    auto text = read(path);
    return text.has_value() ? std::move(*text) : std::string();
}

/// Most are short attributes: the first part has the line.
std::string file_tree::read_line(const std::string& path) const {
    const descriptor file(::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    std::array<char, 512> part;
    const auto size = file.value < 0 ? -1 : ::read(file.value, part.data(), part.size());
    if (size <= 0) return {};
    const std::string_view text(part.data(), static_cast<std::size_t>(size));
    const auto end = text.find('\n');
    if (end != text.npos) return std::string(text.substr(0, end));
    const auto whole = read_or_empty(path);
    return whole.substr(0, whole.find('\n'));
}

std::optional<std::uint64_t> file_tree::read_number(const std::string& path) const {
    const auto line = read_line(path);
    const bool hexadecimal = line.starts_with("0x");
    const char* begin = line.data() + (hexadecimal ? 2 : 0);
    std::uint64_t value = 0;
    const auto [end, failure] =
        std::from_chars(begin, line.data() + line.size(), value, hexadecimal ? 16 : 10);
    if (failure != std::errc() || end == begin) return std::nullopt;
    return value;
}

std::optional<std::string> file_tree::read_link(const std::string& path) const {
    auto target = follow_link(path);
    return target.has_value() ? std::optional(std::move(*target)) : std::nullopt;
}

result<std::string> file_tree::follow_link(const std::string& path) const {
    std::array<char, PATH_MAX> target;
    const auto size = ::readlink((root_ + path).c_str(), target.data(), target.size());
    if (size < 0) return read_failure(path, errno);
    return std::string(target.data(), static_cast<std::size_t>(size));
}

std::optional<std::string> file_tree::read_link_name(const std::string& path) const {
    auto target = read_link(path);
    if (!target) return std::nullopt;
    return target->substr(target->rfind('/') + 1);
}

std::optional<std::string> file_tree::resolve(const std::string& path) const {
    const std::unique_ptr<char, decltype(&std::free)> real(
        ::realpath((root_ + path).c_str(), nullptr), &std::free);
    if (!real) return std::nullopt;
    std::string text(real.get());
    return text.starts_with(root_) ? text.substr(root_.size()) : text;
}

result<std::vector<std::string>> file_tree::read_directory(const std::string& path) const {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir((root_ + path).c_str()),
                                                        &::closedir);
    if (!directory) {
        const int failure = errno;
        // What is not seen for want of descriptors or memory must not read as "there is none".
        if (failure == EMFILE || failure == ENFILE || failure == ENOMEM)
            throw std::system_error(failure, std::generic_category(), path);
        return read_failure(path, failure);
    }
    errno = 0;
    while (const auto* entry = ::readdir(directory.get())) {
        std::string name(entry->d_name);
        if (name != "." && name != "..") names.push_back(std::move(name));
    }
    if (errno != 0) return read_failure(path, errno);
    std::ranges::sort(names);
    return names;
}

std::vector<std::string> file_tree::list(const std::string& path) const {
    auto names = read_directory(path);
    return names.has_value() ? std::move(*names) : std::vector<std::string>();
}

namespace {

/// Does not wait for a server: an open file may be on NFS or FUSE.
std::optional<struct statx> look_at(const std::string& path) {
    struct statx found {};
    if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE, &found) != 0)
        return std::nullopt;
    return found;
}

/// Its number; one that no file system has, when nothing is there.
std::uint64_t file_system_of(const std::optional<struct statx>& found) {
    return found ? std::uint64_t{found->stx_dev_major} << 32 | found->stx_dev_minor
                 : ~std::uint64_t{0};
}

std::optional<device_number> parse_node(const std::string& line) {
    device_number number;
    char type = 0;
    if (std::sscanf(line.c_str(), "%c %u:%u", &type, &number.major, &number.minor) != 3)
        return std::nullopt;
    number.block = type == 'b';
    return number;
}

} // namespace

/// The first line of the file that stands for a node in another tree, also through a link.
std::optional<std::string>
file_tree::invented_node(const std::string& path, const std::optional<std::string>& target) const {
    if (root_.empty()) return std::nullopt;
    if (!target) return read_line(path);
    return target->starts_with('/') ? read_line(*target) : std::string();
}

file_kind file_tree::inspect(const std::string& path) const {
    const auto target = root_.empty() ? std::nullopt : read_link(path);
    if (const auto line = invented_node(path, target))
        return {parse_node(*line), target.value_or("").starts_with("/sys/")};
    // The same as long as this process lives.
    static const auto sysfs = file_system_of(look_at("/sys"));
    file_kind kind;
    const auto found = look_at(path);
    if (!found) return kind;
    kind.in_sysfs = file_system_of(found) == sysfs;
    if (S_ISBLK(found->stx_mode) || S_ISCHR(found->stx_mode))
        kind.node =
            device_number{S_ISBLK(found->stx_mode), found->stx_rdev_major, found->stx_rdev_minor};
    return kind;
}

disk_claim file_tree::try_claim(const std::string& node, device_number expected,
                                std::string& reason) const {
    if (const auto line = invented_node(node, root_.empty() ? std::nullopt : read_link(node))) {
        if (line->ends_with("free")) return disk_claim::free;
        return line->ends_with("taken") ? disk_claim::taken : disk_claim::closed;
    }
    // O_NONBLOCK: a drive without a medium is not waited for.
    const descriptor disk(::open(node.c_str(), O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC));
    const int failure = errno;
    if (disk.value < 0 && failure == EBUSY) return disk_claim::taken;
    // Nothing is in the drive, or nothing is behind the node.
    if (disk.value < 0 && (failure == ENOMEDIUM || failure == ENXIO)) return disk_claim::free;
    reason = std::strerror(failure);
    if (disk.value < 0) return disk_claim::closed;
    struct stat found {};
    const bool same = ::fstat(disk.value, &found) == 0 && S_ISBLK(found.st_mode) &&
                      major(found.st_rdev) == expected.major &&
                      minor(found.st_rdev) == expected.minor;
    if (!same) reason = "it is the node of another device";
    return same ? disk_claim::free : disk_claim::closed;
}

std::optional<std::uint64_t> file_tree::socket_inode(const std::string& path) const {
    struct stat found {};
    if (::stat((root_ + path).c_str(), &found) != 0 || !S_ISSOCK(found.st_mode))
        return std::nullopt;
    return found.st_ino;
}

bool file_tree::exists(const std::string& path) const {
    return ::access((root_ + path).c_str(), F_OK) == 0;
}

} // namespace vmplug
