#pragma once

#include "port/file_tree.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {

/// Which process a pid means at this moment; nothing when there is none.
std::optional<process_identity> read_identity(const file_tree& files, std::int32_t pid);

/// Our own.
process_identity read_own_identity(const file_tree& files);

/// A process's command line for people, at most 200 bytes.
std::string read_command(const file_tree& files, std::int32_t pid);

/// How much of each process to look at; each takes a look at all open files of all processes.
struct process_reading {
    bool group_users = false;     ///< who has VFIO groups open
    bool monitor_clients = false; ///< who is connected to each monitor
};

/// What one walk through /proc finds.
struct process_survey {
    std::vector<qemu_process> qemus;
    std::map<int, std::vector<group_user>> group_users;
};

/// The QEMUs of this host with their monitors, and what else is wanted.
process_survey read_processes(const file_tree& files, process_reading wanted);

/// Who has devices of VFIO open, one line for people, empty when nobody has: whoever an unbind from
/// vfio-pci waits for is among them.
std::string describe_device_users(const file_tree& files);

/// The pid that is connected to the listening Unix socket `path`, 0 when none is.
std::int32_t find_socket_client(const file_tree& files, const std::string& path);

} // namespace vmplug
