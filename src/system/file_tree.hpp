#pragma once

#include <vmplug/error.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// The number of a device node, e.g. 259:0 of a disk.
struct device_number {
    bool block = false;
    unsigned major = 0;
    unsigned minor = 0;

    auto operator<=>(const device_number&) const = default;
};

/// What is known of a file without opening it.
struct file_kind {
    std::optional<device_number> node; ///< it is a device node
    bool in_sysfs = false;
};

/// Whether the kernel would let somebody have a disk for themselves.
enum class disk_claim {
    free,   ///< nobody has it: no file system, RAID, volume or swap
    taken,  ///< somebody has
    closed, ///< the node could not be opened: it cannot be told
};

/// Reads the host's files: /sys, /proc, /dev, /lib/modules. A root other than "" puts another tree
/// in their place (tests).
///
/// For files whose reading cannot block: attributes that take a device's lock are read through
/// `child_task`. Several threads may use one. What a file holds is untrusted; at most
/// `file_bytes_max` of it are read. Throws std::system_error where descriptors or memory are short:
/// then nothing can be concluded.
class file_tree {
public:
    static constexpr std::size_t file_bytes_max = std::size_t{4} << 20;

    explicit file_tree(std::string root = {}) : root_(std::move(root)) {}

    const std::string& root() const { return root_; }

    /// Errors: `host_io`, `permission_denied`.
    result<std::string> read(const std::string& path) const;

    /// At most its first `bytes_max` bytes, with as few calls as can be: for looking at many files.
    result<std::string> read_start(const std::string& path, std::size_t bytes_max) const;

    /// The same of a regular file alone: a path from outside may lead to a device that acts when it
    /// is opened.
    result<std::string> read_regular(const std::string& path) const;

    /// `size` bytes at an offset, of a process's memory. Errors: as of `read`, also for fewer.
    result<std::string> read_at(const std::string& path, std::uint64_t offset,
                                std::size_t size) const;

    /// Calls `visit` with each line of a file of any length, until it returns false.
    void for_each_line(const std::string& path,
                       const std::function<bool(std::string_view)>& visit) const;

    /// The same, empty when it cannot be read.
    std::string read_or_empty(const std::string& path) const;

    /// The first line without its line break, empty when it cannot be read.
    std::string read_line(const std::string& path) const;

    /// A number, decimal or 0x hexadecimal.
    std::optional<std::uint64_t> read_number(const std::string& path) const;

    /// Where a symbolic link points, as text.
    std::optional<std::string> read_link(const std::string& path) const;

    /// The same, or why it cannot be told. Errors: `host_io`, `permission_denied`.
    result<std::string> follow_link(const std::string& path) const;

    /// The last component of it.
    std::optional<std::string> read_link_name(const std::string& path) const;

    /// The canonical path, below the root.
    std::optional<std::string> resolve(const std::string& path) const;

    /// Sorted, without "." and "..". Empty when there is no such directory.
    std::vector<std::string> list(const std::string& path) const;

    /// The same, telling why it could not be read. Errors: `host_io`, `permission_denied`.
    result<std::vector<std::string>> read_directory(const std::string& path) const;

    /// The inode number of a Unix socket's file, nothing when there is no such socket.
    std::optional<std::uint64_t> socket_inode(const std::string& path) const;

    bool exists(const std::string& path) const;

    /// What a file is, or the one that a link leads to (an open file of a process). A file system
    /// that has to be asked over a network is not waited for.
    ///
    /// In another tree, where nodes cannot be made, a file stands for one: its first line is
    /// "c 240:0" or "b 259:0".
    file_kind inspect(const std::string& path) const;

    /// Asks the kernel by an exclusive open for reading, which everything that has a disk for
    /// itself refuses: whatever file system, mount namespace, RAID or volume it is. A disk answers
    /// for its partitions too. `reason` gets errno's text where it could not be opened.
    ///
    /// In another tree the node's first line ends with "free" or "taken".
    disk_claim try_claim(const std::string& node, device_number expected,
                         std::string& reason) const;

private:
    std::optional<std::string> invented_node(const std::string& path,
                                             const std::optional<std::string>& target) const;

    std::string root_;
};

} // namespace vmplug
