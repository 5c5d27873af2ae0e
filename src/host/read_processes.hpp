#pragma once

#include "system/file_tree.hpp"

#include <vmplug/host_facts.hpp>

#include <functional>
#include <string_view>

namespace vmplug {

/// Which process a pid means at this moment; nothing when there is none.
std::optional<process_identity> read_identity(const file_tree& files, std::int32_t pid);

/// Our own.
process_identity read_own_identity(const file_tree& files);

/// A process's command line for people, at most 200 bytes.
std::string read_command(const file_tree& files, std::int32_t pid);

/// How much of each process to look at.
struct process_reading {
    /// Who is connected to each monitor: takes a look at all open files of all processes.
    bool monitor_clients = false;
    std::string guest; ///< not empty: only the guests that this may name (a name, a pid) are looked
                       ///< at closely; of others name and pid alone are read
    /// Whose executable is no emulator is looked at only when no emulator has that name or pid:
    /// most of what runs on a host is neither, and is then left out at the cost of one link.
    bool emulators_first = false;
};

/// What one walk through /proc finds.
struct process_survey {
    std::vector<qemu_process> qemus;
    std::optional<error> failure; ///< /proc could not be listed: what is missing here may be there
};

/// The QEMUs of this host with their monitors, and what else is wanted.
///
/// A guest is a process whose executable is a QEMU system emulator, or that offers a monitor as one
/// does: it was started with the option and has the listening socket. A script that waits for its
/// QEMU and has the socket too is none.
process_survey read_processes(const file_tree& files, process_reading wanted);

/// One process, whatever it is, as if it were a QEMU; nothing when there is none.
std::optional<qemu_process> read_process(const file_tree& files, std::int32_t pid);

/// Calls `visit` with each pid that there is. Errors: as of `file_tree::read_directory`.
result<void> for_each_process(const file_tree& files,
                              const std::function<void(std::int32_t)>& visit);

/// Who has devices of VFIO open, one line for people, empty when nobody has: whoever an unbind from
/// vfio-pci waits for is among them.
std::string describe_device_users(const file_tree& files);

/// The pid that is connected to the listening Unix socket `path`, 0 when none is.
std::int32_t find_socket_client(const file_tree& files, const std::string& path);

/// The pid that is connected to one of a QEMU's monitors, 0 when none is, or it cannot be told.
std::int32_t find_monitor_client(const file_tree& files, const qemu_process& process,
                                 const std::string& address);

/// Whether the path of an executable is that of a QEMU system emulator.
bool is_emulator(std::string_view path);

} // namespace vmplug
