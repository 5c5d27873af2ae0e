#pragma once

#include <vmplug/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// A Unix socket, as the kernel tells it.
struct unix_socket {
    std::uint32_t inode = 0;
    std::uint32_t peer = 0; ///< the other end's inode, 0 when it is not connected
    bool listening = false;
    std::string path; ///< as it was bound, a leading zero byte: abstract; an accepted socket has
                      ///< its listener's
    std::uint32_t file_inode = 0; ///< of the file that it is bound to, cut to 32 bits; 0: none
};

/// The kernel's sock_diag for the Unix sockets of one network namespace.
///
/// Source: linux/unix_diag.h.
class unix_socket_table {
public:
    /// That of a process (0: our own), see `open_socket_of`.
    static result<unix_socket_table> open(std::int32_t pid);

    unix_socket_table(unix_socket_table&& other) noexcept;
    unix_socket_table& operator=(unix_socket_table&&) = delete;
    ~unix_socket_table();

    /// All of them. Errors: `host_io`, also where the kernel has none of this (UNIX_DIAG).
    result<std::vector<unix_socket>> read_all();

    /// The one with that inode number; nothing when there is none, or the kernel has none of this.
    std::optional<unix_socket> find(std::uint32_t inode);

private:
    explicit unix_socket_table(int socket) : socket_(socket) {}
    int socket_;
};

} // namespace vmplug
