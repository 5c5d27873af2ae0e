#pragma once

#include <vmplug/guest_facts.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string>

namespace vmplug {

/// What was seen of a device while waiting for the guest.
enum class guest_sight {
    configured, ///< its BARs have addresses: the guest drives it
    added,      ///< QEMU has it, the guest has not looked at it yet
    gone,       ///< QEMU has it no more
};

/// A guest, as steps act on it: over QMP, or over HMP where there is nothing else.
///
/// Errors of all calls: `connection_lost`, `timed_out` (the command may have run), `command_failed`
/// with QEMU's words.
class guest_link {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;
    using duration = std::chrono::milliseconds;

    virtual ~guest_link() = default;

    virtual task<guest_facts> survey(duration deadline) = 0;

    /// `arguments` is the JSON object of device_add.
    virtual task<void> device_add(std::string arguments, duration deadline) = 0;

    /// Asks the guest to let go; success says only that it was asked. A device that is already on
    /// its way out, or gone, counts as asked.
    virtual task<void> device_del(std::string qdev_id, duration deadline) = 0;

    virtual task<guest_sight> look(std::string qdev_id, duration deadline) = 0;

    /// Returns at the next sign that `qdev_id` may have changed (an event about it), or when
    /// `most` has passed; the caller looks again.
    virtual boost::asio::awaitable<void> wait_for_change(std::string qdev_id, duration most) = 0;

    /// Of the monitor that answers.
    virtual std::string address() const = 0;

    /// Of its socket, to ask the kernel who is at the other end; -1: there is none.
    virtual int descriptor() const { return -1; }

    /// False when the connection is lost: a new link is needed.
    virtual bool is_open() const = 0;
};

} // namespace vmplug
