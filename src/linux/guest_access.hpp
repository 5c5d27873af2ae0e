#pragma once

#include "linux/open_monitors.hpp"
#include "port/guests.hpp"
#include "system/file_tree.hpp"
#include "system/worker.hpp"

#include <vmplug/hmp_monitor.hpp>
#include <vmplug/host_facts.hpp>
#include <vmplug/operation.hpp>

#include <memory>
#include <string>

namespace vmplug {

/// How a monitor is reached.
///
/// Lifetime: the files have to outlive the worker, which may still read them when who asked has
/// gone.
struct monitor_access {
    const file_tree& files;
    worker& hands;       ///< looks at /proc: who answers, who holds the monitor
    open_monitors& open; ///< looked at first, and told of what is connected
    std::chrono::milliseconds greeting_deadline;
};

/// Resolves a name, a pid, or what `parse_monitor_address` takes. `uid`: only that user's are
/// meant. Errors: those of `find_vm`, `no_monitor` (the QEMU offers none), `monitor_unusable` (none
/// that we can, or may, speak to), `invalid_argument`.
result<guest_reference> find_guest(const file_tree& files, std::string_view text,
                                   std::optional<std::uint32_t> uid = std::nullopt);

/// The same for one command: an address is taken as it is written, without a look at the processes,
/// and among them QEMUs that are called QEMU come first.
result<guest_reference> find_to_speak(const file_tree& files, std::string_view text);

/// The guest of an earlier operation: its process where it still runs.
guest_reference guest_of(const file_tree& files, const operation_record& record);

/// Finds who answers at an address that was written: `guest` becomes that process. Nothing changes
/// where it is none of this host's.
/// Errors: `vm_unproven` when several processes hold the other end.
result<void> find_process(const file_tree& files, guest_reference& guest, int socket);

/// Refuses a guest that belongs to another user than can be expected of its name: neither us nor
/// root, unless its process was named, or `uid` says so.
/// Errors: `vm_foreign`.
result<void> check_owner(const guest_reference& guest, std::optional<std::uint32_t> uid);

/// Connects to the first QMP monitor that nobody holds, or shares the connection that there is.
/// Nothing but the negotiation is sent before it is shown that the guest's process answers.
/// Errors: those of `monitor::connect`; `monitor_busy` names the holder where it can be found;
/// `vm_unproven`.
boost::asio::awaitable<result<std::unique_ptr<monitor>>> connect_monitor(guest_reference guest,
                                                                         monitor_access access);

/// The same for human monitors.
boost::asio::awaitable<result<std::unique_ptr<hmp_monitor>>>
connect_human_monitor(guest_reference guest, monitor_access access);

/// The same for whichever there is, QMP before HMP, as steps need it.
boost::asio::awaitable<result<std::unique_ptr<guest_link>>> connect_guest(guest_reference guest,
                                                                          monitor_access access);

} // namespace vmplug
