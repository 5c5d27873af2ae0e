#include "port/file_tree.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
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
    return {denied ? error_code::permission_denied : error_code::host_io, path,
            std::strerror(reason), denied ? "run as root" : ""};
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

std::string file_tree::read_or_empty(const std::string& path) const {
    auto text = read(path);
    return text.has_value() ? std::move(*text) : std::string();
}

std::string file_tree::read_line(const std::string& path) const {
    const auto text = read_or_empty(path);
    return text.substr(0, text.find('\n'));
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
    std::array<char, PATH_MAX> target;
    const auto size = ::readlink((root_ + path).c_str(), target.data(), target.size());
    if (size < 0) return std::nullopt;
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

std::vector<std::string> file_tree::list(const std::string& path) const {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir((root_ + path).c_str()),
                                                        &::closedir);
    if (!directory) return names;
    while (const auto* entry = ::readdir(directory.get())) {
        const std::string name(entry->d_name);
        if (name != "." && name != "..") names.push_back(name);
    }
    std::ranges::sort(names);
    return names;
}

bool file_tree::exists(const std::string& path) const {
    return ::access((root_ + path).c_str(), F_OK) == 0;
}

} // namespace vmplug
