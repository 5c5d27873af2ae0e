#pragma once

#include "port/guest_link.hpp"

#include <vmplug/host_facts.hpp>
#include <vmplug/operation.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

/// The guests of this host, as operations find and reach them.
class guests {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    virtual ~guests() = default;

    /// Resolves a name, a pid, or the address of a monitor. `uid`: only that user's are meant.
    /// Errors: those of `find_vm`, `no_monitor` (the QEMU offers none), `monitor_unusable` (none
    /// that we can, or may, speak to), `invalid_argument`.
    virtual task<guest_reference> find(std::string text, std::optional<std::uint32_t> uid) = 0;

    /// What the guest's process shows now; nothing when it has ended.
    virtual boost::asio::awaitable<std::optional<qemu_process>>
    read_process(process_identity which) = 0;

    /// The guest of an earlier operation: its process where it still runs.
    virtual boost::asio::awaitable<guest_reference> find_again(const operation_record& record) = 0;

    /// Connects to the first monitor that nobody holds. Nothing but the negotiation is sent before
    /// it is shown that the guest's process answers. Errors: those of `monitor::connect`;
    /// `monitor_busy` names the holder where it can be found; `vm_unproven`.
    virtual task<std::unique_ptr<guest_link>>
    connect(guest_reference guest, std::chrono::milliseconds greeting_deadline) = 0;

    /// Finds who answers at an address that was written: `guest` becomes that process. Nothing
    /// changes where it is none of this host's.
    /// Errors: `vm_unproven` when several processes hold the other end.
    virtual task<void> find_process(guest_reference& guest, const guest_link& link) = 0;

    /// Refuses a guest that belongs to another user than can be expected of its name: neither us
    /// nor root, unless its process was named, or `uid` says so. Errors: `vm_foreign`.
    virtual result<void> check_owner(const guest_reference& guest,
                                     std::optional<std::uint32_t> uid) = 0;
};

} // namespace vmplug
