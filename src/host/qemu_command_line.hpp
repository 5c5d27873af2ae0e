#pragma once

#include <vmplug/host_facts.hpp>

#include <functional>
#include <string>
#include <vector>

namespace vmplug {

/// Where a QEMU's command line says that a monitor is to listen. Whether it does, the process's
/// sockets tell.
struct monitor_claim {
    enum class place { unix_path, abstract_name, tcp, descriptor };

    qemu_monitor::protocol speaks = qemu_monitor::protocol::qmp;
    place where = place::unix_path;
    std::string path;            ///< as it was given, or the abstract name without its zero byte
    std::string host;            ///< as it was given; empty: any
    std::uint16_t port = 0;      ///< 0: whichever is free
    std::uint16_t port_last = 0; ///< `to`: the first free one up to that
    int descriptor = -1;         ///< the process's own number of a listening socket
    std::string unusable;        ///< why it cannot be spoken to, empty when it can
};

/// What a QEMU's command line says. Everything in it is untrusted text.
struct qemu_command_line {
    std::string name;    ///< -name guest=..., empty when it has none
    std::string machine; ///< -machine, as it was given
    std::vector<host_address> hosts;
    std::vector<monitor_claim> monitors; ///< at most `monitors_max`
    bool waits = false; ///< it has a socket at which it waits for somebody before it starts

    static constexpr std::size_t monitors_max = 64;
};

/// Reads QEMU's arguments, program name included. `read_config` gives the text of a file that
/// -readconfig names, empty when it cannot be read.
///
/// Sockets that QEMU connects to as a client are no claims.
/// Source: qemu-options.hx, qemu_chr_parse_compat in chardev/char.c and util/qemu-config.c of QEMU.
qemu_command_line
parse_qemu_command_line(const std::vector<std::string>& arguments,
                        const std::function<std::string(const std::string&)>& read_config);

} // namespace vmplug
