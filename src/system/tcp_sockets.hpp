#pragma once

#include "system/file_tree.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <string>

namespace vmplug {

/// One end of a TCP connection. IPv4 as an IPv6 address that stands for it (::ffff:1.2.3.4).
struct tcp_endpoint {
    std::array<unsigned char, 16> host{};
    std::uint16_t port = 0;

    bool operator==(const tcp_endpoint&) const = default;
};

/// A TCP socket, as /proc/PID/net/tcp and tcp6 show it.
struct tcp_socket {
    std::uint32_t inode = 0; ///< 0: nobody has accepted it
    bool listening = false;
    tcp_endpoint local;
    tcp_endpoint remote;
};

/// Calls `visit` with each TCP socket of the network namespace of a process,
/// until it returns false.
/// Source: Documentation/networking/proc_net_tcp.rst of Linux.
void for_each_tcp_socket(const file_tree& files, std::int32_t pid,
                         const std::function<bool(const tcp_socket&)>& visit);

/// "127.0.0.1" or "::1".
std::string format_host(const tcp_endpoint& endpoint);

/// A numeric address of either kind as above. Errors: false.
bool parse_host(const std::string& text, tcp_endpoint& into);

/// Both ends of our own connected socket; false when it is not TCP.
bool read_endpoints(int socket, tcp_endpoint& local, tcp_endpoint& remote);

} // namespace vmplug
