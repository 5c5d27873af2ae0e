#pragma once

#include "qapi/event.hpp"

#include <vmplug/monitor.hpp>

namespace vmplug {

/// Reads a queue without text in between: an event as it was parsed when it came. One that has not
/// the form that QEMU gives it is `qapi::other`.
struct typed_events {
    /// As `event_queue::next`, errors and deadline too. `from` outlives the call.
    static boost::asio::awaitable<result<std::optional<qapi::event>>>
    next(event_queue& from, std::chrono::milliseconds deadline, std::stop_token stop = {});
};

} // namespace vmplug
