#pragma once

#include <cstdint>
#include <string>

namespace vmplug {

/// The path of the file that a process's Unix socket is bound to, as we reach it, whatever
/// directory it was bound from. Empty where the kernel does not tell (Linux before 5.6, not root,
/// the file was deleted).
///
/// Source: pidfd_getfd(2); SIOCUNIXFILE of unix(7).
std::string read_socket_file(std::int32_t pid, int descriptor);

} // namespace vmplug
