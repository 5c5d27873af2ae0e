#pragma once

#include "system/file_tree.hpp"

#include <map>
#include <string>

namespace vmplug {

/// Whether a QEMU waits, before it starts, for somebody to connect to one of its sockets
/// (`wait=on`).
struct start_wait {
    enum class state { no, yes, unclear };
    state is = state::unclear;
    int descriptor = -1; ///< of the listening socket that it waits at
};

/// Looks at what the main thread polls: a QEMU that waits polls a listening socket and otherwise
/// its own wake-up alone; one that runs has its main loop's signals among it.
///
/// `descriptors`: what each refers to; `listeners`: those that are listening sockets.
/// Source: /proc/PID/syscall; qio_net_listener_wait_client in io/net-listener.c and
/// util/main-loop.c of QEMU.
start_wait read_start_wait(const file_tree& files, std::int32_t pid,
                           const std::map<int, std::string>& descriptors,
                           const std::map<int, std::string>& listeners);

} // namespace vmplug
