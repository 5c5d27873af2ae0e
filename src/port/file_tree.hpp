#pragma once

#include <vmplug/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// Reads the host's files: /sys, /proc, /dev, /lib/modules. A root other than "" puts another tree
/// in their place (tests).
///
/// For files whose reading cannot block: attributes that take a device's lock are read through
/// `child_task`. What a file holds is untrusted; at most `file_bytes_max` of it are read.
class file_tree {
public:
    static constexpr std::size_t file_bytes_max = std::size_t{4} << 20;

    explicit file_tree(std::string root = {}) : root_(std::move(root)) {}

    const std::string& root() const { return root_; }

    /// Errors: `host_io`, `permission_denied`.
    result<std::string> read(const std::string& path) const;

    /// The same, empty when it cannot be read.
    std::string read_or_empty(const std::string& path) const;

    /// The first line without its line break, empty when it cannot be read.
    std::string read_line(const std::string& path) const;

    /// A number, decimal or 0x hexadecimal.
    std::optional<std::uint64_t> read_number(const std::string& path) const;

    /// Where a symbolic link points, as text.
    std::optional<std::string> read_link(const std::string& path) const;

    /// The last component of it.
    std::optional<std::string> read_link_name(const std::string& path) const;

    /// The canonical path, below the root.
    std::optional<std::string> resolve(const std::string& path) const;

    /// Sorted, without "." and "..". Empty when there is no such directory.
    std::vector<std::string> list(const std::string& path) const;

    bool exists(const std::string& path) const;

private:
    std::string root_;
};

} // namespace vmplug
