#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vmplug {

/// A Unix socket of this network namespace.
struct unix_socket {
    std::uint32_t inode = 0;
    std::uint32_t peer = 0; ///< the other end's inode, 0 when it is not connected
    bool listening = false;
    std::string path; ///< as it was bound; an accepted socket has its listener's
};

/// All of them, from the kernel's sock_diag. Empty where the kernel has none (UNIX_DIAG).
/// Source: linux/unix_diag.h.
std::vector<unix_socket> read_unix_sockets();

} // namespace vmplug
