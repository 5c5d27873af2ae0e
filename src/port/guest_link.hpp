#pragma once

#include "port/call_limit.hpp"

#include <vmplug/guest_facts.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace vmplug {

/// What was seen of a device while waiting for the guest.
enum class guest_sight {
    configured, ///< its BARs have addresses: the guest drives it
    added,      ///< QEMU has it, the guest has not looked at it yet
    gone,       ///< QEMU has it no more
};

/// What a guest was heard to say about a device while somebody waited.
enum class guest_news {
    nothing, ///< the time is over, or a stop was asked for
    changed, ///< it may have changed: look again
    refused, ///< the guest has told that it does not let go of it
};

/// What is heard about one device of a guest, from its making on.
class device_watch {
public:
    virtual ~device_watch() = default;

    /// Returns at the next sign, heard already or yet to come. A connection that is lost is one.
    virtual boost::asio::awaitable<guest_news> next(call_limit limit) = 0;
};

/// A guest, as steps act on it: over QMP, or over HMP where there is nothing else.
///
/// Errors of all calls: `connection_lost`, `timed_out` and `cancelled` (the command may have run,
/// or may still), `command_failed` with QEMU's words.
class guest_link {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    virtual ~guest_link() = default;

    virtual task<guest_facts> survey(call_limit limit) = 0;

    /// `arguments` is the JSON object of device_add.
    virtual task<void> device_add(std::string arguments, call_limit limit) = 0;

    /// Asks the guest to let go; success says only that it was asked. A device that is already on
    /// its way out, or gone, counts as asked.
    virtual task<void> device_del(std::string qdev_id, call_limit limit) = 0;

    virtual task<guest_sight> look(std::string qdev_id, call_limit limit) = 0;

    /// It may outlive the link. Made before what it is to hear of is caused.
    virtual std::unique_ptr<device_watch> watch(std::string qdev_id) = 0;

    /// Of the monitor that answers.
    virtual std::string address() const = 0;

    /// Of its socket, to ask the kernel who is at the other end; -1: there is none.
    virtual int descriptor() const { return -1; }

    /// False when the connection is lost: a new link is needed.
    virtual bool is_open() const = 0;
};

} // namespace vmplug
