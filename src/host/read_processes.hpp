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

/// What one walk through /proc finds.
struct process_survey {
    std::vector<qemu_process> qemus;
    std::map<int, std::vector<group_user>> group_users;
};

/// Looks at all processes: QEMUs with their monitors, and who has VFIO groups open.
/// `held_monitors`: also find out who is connected to each monitor, which costs a second walk.
process_survey read_processes(const file_tree& files, bool held_monitors);

/// The pid that is connected to the listening Unix socket `path`, 0 when none is.
std::int32_t find_socket_client(const file_tree& files, const std::string& path);

} // namespace vmplug
