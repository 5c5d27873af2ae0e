#pragma once

#include <vmplug/host_facts.hpp>

#include <functional>
#include <string>
#include <vector>

namespace vmplug {

/// Reads from a QEMU's arguments what they say of name, machine, monitors and host devices.
///
/// `socket_of` gives the path of a socket that was handed over as a file descriptor (`fd=N`).
/// Relative socket paths are resolved against `directory`.
void parse_qemu_command_line(const std::vector<std::string>& arguments,
                             const std::string& directory,
                             const std::function<std::string(int)>& socket_of,
                             qemu_process& process);

} // namespace vmplug
