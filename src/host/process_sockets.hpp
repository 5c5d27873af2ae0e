#pragma once

#include "host/qemu_command_line.hpp"
#include "system/file_tree.hpp"
#include "system/tcp_sockets.hpp"
#include "system/unix_sockets.hpp"

#include <map>
#include <memory>
#include <set>
#include <vector>

namespace vmplug {

/// The number in "socket:[123]", 0 for anything else.
std::uint32_t socket_number(std::string_view link);

/// What the descriptors of a process refer to, by number.
/// Errors: `permission_denied`, `host_io` (it has ended, or we have no descriptor left).
result<std::map<int, std::string>> read_descriptors(const file_tree& files, std::int32_t pid);

/// The sockets at which a process listens, as the kernel shows them to be: what its command line
/// claims is held against them.
class process_sockets {
public:
    process_sockets(const file_tree& files, std::int32_t pid,
                    const std::map<int, std::string>& descriptors);

    /// The listening socket of a claim, with the address at which we reach it, nothing when the
    /// process has none. Each socket is given once.
    struct found_listener {
        std::uint32_t inode = 0;
        std::string address;  ///< as of `qemu_monitor`
        std::string unusable; ///< why there is no address
    };
    std::optional<found_listener> take(const monitor_claim& claim);

    /// Descriptor numbers of the sockets that listen, with a name for each.
    std::map<int, std::string> listeners();

private:
    struct listener {
        int descriptor = -1;
        std::uint32_t inode = 0;
        bool tcp = false;
        unix_socket local;
        tcp_endpoint endpoint;
    };

    void read_all();
    void read_unix_text();
    void read_tcp();
    bool is_claimed(const listener& candidate, const monitor_claim& claim) const;
    std::string locate(const listener& candidate) const;
    std::vector<std::string> places_of(const listener& candidate) const;

    const file_tree& files_;
    std::int32_t pid_;
    std::map<std::uint32_t, int> sockets_; ///< descriptors by inode number
    std::vector<listener> listeners_;
    bool read_ = false;
};

} // namespace vmplug
