#pragma once

#include "controller/guest_link.hpp"
#include "port/file_tree.hpp"

#include <vmplug/controller.hpp>
#include <vmplug/hmp_monitor.hpp>
#include <vmplug/host_facts.hpp>
#include <vmplug/operation.hpp>

#include <memory>
#include <string>

namespace vmplug {

/// Which guest a person means, and how to reach it.
///
/// Shape: `identity` is the process that has to be at the other end of a connection; pid 0 as long
/// as it is not known, which is so when an address was written. `process` is what that process
/// shows; it is missing when it has ended.
struct guest_reference {
    std::string text; ///< as it was written
    process_identity identity;
    std::optional<qemu_process> process;
    std::vector<std::string> monitors; ///< addresses to try, in order
    bool by_pid = false;               ///< the process itself was named
    bool by_address = false;           ///< whoever listens there was named

    std::string name() const;      ///< for messages and the journal: from its process
    std::string lease_key() const; ///< its process, or its monitor when that is not known
};

/// Whether a person wrote where a monitor listens, instead of a guest's name or pid.
bool is_monitor_address(std::string_view text);

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

/// Connects to the first QMP monitor that nobody holds, or shares the caller's own connection.
/// Nothing but the negotiation is sent before it is shown that the guest's process answers.
/// Errors: those of `monitor::connect`; `monitor_busy` names the holder where it can be found;
/// `vm_unproven`.
boost::asio::awaitable<result<std::unique_ptr<monitor>>>
connect_monitor(const file_tree& files, guest_reference guest, const controller_options& options);

/// The same for human monitors.
boost::asio::awaitable<result<std::unique_ptr<hmp_monitor>>>
connect_human_monitor(const file_tree& files, guest_reference guest,
                      const controller_options& options);

/// The same for whichever there is, QMP before HMP, as steps need it.
boost::asio::awaitable<result<std::unique_ptr<guest_link>>>
connect_guest(const file_tree& files, guest_reference guest, const controller_options& options);

} // namespace vmplug
