#pragma once

#include "controller/guest_link.hpp"
#include "port/file_tree.hpp"

#include <vmplug/host_facts.hpp>
#include <vmplug/monitor.hpp>

#include <memory>
#include <string>

namespace vmplug {

/// Which guest a person means, and how to reach it.
struct guest_reference {
    std::string text;                    ///< as it was written
    std::optional<qemu_process> process; ///< unknown for the monitor of a remote QEMU
    std::vector<std::string> monitors;   ///< addresses to try, in order
    std::string name() const;            ///< for messages
};

/// Resolves a name, a pid, a socket's path, `qmp:PATH` or `tcp:HOST:PORT`.
/// Errors: `vm_not_found`, `vm_ambiguous`, `no_monitor` (the QEMU offers none), `invalid_argument`.
result<guest_reference> find_guest(const std::vector<qemu_process>& qemus, std::string_view text);

/// Connects to the first monitor that nobody holds.
/// Errors: those of `monitor::connect`; `monitor_busy` names the holder where it can be found.
boost::asio::awaitable<result<std::unique_ptr<monitor>>>
connect_monitor(const file_tree& files, guest_reference guest, monitor_options options);

} // namespace vmplug
