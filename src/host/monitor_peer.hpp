#pragma once

#include "system/file_tree.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {

/// Shows that the other end of our connection is held by the process that is meant, after it has
/// answered (before that nobody has accepted it).
///
/// `socket` is our own connected socket, Unix or TCP.
/// Errors: `vm_unproven`, with what was seen instead.
result<void> prove_peer(const file_tree& files, int socket, const process_identity& meant);

/// The process at the other end of our connection; nothing when it is none of this host, or none
/// that we can see.
/// Errors: `vm_unproven` when several hold it.
result<std::optional<process_identity>> find_peer(const file_tree& files, int socket);

} // namespace vmplug
