#pragma once

#include <vmplug/error.hpp>

#include <cstdint>

namespace vmplug {

/// Whether a process has the network namespace that we have; false when that cannot be seen.
bool shares_our_network(std::int32_t pid);

/// A new socket (close-on-exec) in the network namespace of a process; pid 0: in our own.
///
/// The calling thread enters that namespace for the one system call. Returns a descriptor.
/// Errors: `permission_denied`, `host_io` (the process has ended, the family is not there).
result<int> open_socket_of(std::int32_t pid, int domain, int type, int protocol);

} // namespace vmplug
