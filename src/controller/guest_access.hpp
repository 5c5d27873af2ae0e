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
struct guest_reference {
    std::string text;                    ///< as it was written
    std::optional<qemu_process> process; ///< unknown for the monitor of a remote QEMU
    std::vector<std::string> monitors;   ///< addresses to try, in order

    std::string name() const;      ///< for messages
    std::string lease_key() const; ///< its process, or its monitor when that is not known
};

/// Whether a person wrote where a monitor listens, instead of a guest's name or pid.
bool is_monitor_address(std::string_view text);

/// Resolves a name, a pid, or what `parse_monitor_address` takes.
/// Errors: `vm_not_found`, `vm_ambiguous`, `no_monitor` (the QEMU offers none), `invalid_argument`.
result<guest_reference> find_guest(const std::vector<qemu_process>& qemus, std::string_view text);

/// The guest of an earlier operation: by its process where it still runs.
guest_reference guest_of(const operation_record& record, const std::vector<qemu_process>& qemus);

/// Connects to the first QMP monitor that nobody holds, or shares the caller's own connection.
/// Errors: those of `monitor::connect`; `monitor_busy` names the holder where it can be found.
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
