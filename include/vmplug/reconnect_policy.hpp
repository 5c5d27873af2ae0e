#pragma once

#include <vmplug/error.hpp>

#include <chrono>
#include <optional>
#include <variant>

namespace vmplug {

/// How patient a `reconnect_policy` is.
struct reconnect_pace {
    std::chrono::milliseconds first{500}; ///< after the first attempt that failed; then twice that
    std::chrono::milliseconds longest{30'000}; ///< between two attempts
    /// A connection that held this long was a good one: the next attempt is made at once.
    std::chrono::milliseconds steady{10'000};
};

/// When to connect to a guest's monitor again, for whoever waits for that guest and has no hurry.
///
/// It is told what happened, and when, and answers; it has no clock and connects to nothing. The
/// first attempt is due at once, and so is the first after a connection that held. A server that
/// accepts and closes is one that failed: however fast it is, it is asked no oftener than one that
/// does not listen. Nothing but the end of its process makes it give up: a monitor that another
/// client holds, or that cannot be proven today, may be free tomorrow.
///
/// Shape: a value; times are of one steady clock, and never go back.
class reconnect_policy {
public:
    using time_point = std::chrono::steady_clock::time_point;

    /// Not before that; in the past: now.
    struct try_at {
        time_point when;
    };
    /// There is nothing to connect to any more, with `monitor_gone` and what was lost last.
    struct give_up {
        error why;
    };
    using answer = std::variant<try_at, give_up>;

    explicit reconnect_policy(reconnect_pace pace = {}) : pace_(pace) {}

    void connected(time_point now) { connected_since_ = now; }

    /// The connection is lost, or an attempt has failed. One that somebody made before its time
    /// does not put off the next.
    void lost(error why, time_point now);

    /// The guest's process has ended: it has no other one.
    void ended() { ended_ = true; }

    bool is_connected() const { return connected_since_.has_value(); }

    answer next() const;

private:
    bool held(time_point now) const;

    reconnect_pace pace_;
    std::optional<time_point> connected_since_;
    std::chrono::milliseconds pause_{0}; ///< that was made last
    time_point due_{};
    std::optional<error> last_;
    bool ended_ = false;
};

} // namespace vmplug
