#pragma once

#include "qmp/framer.hpp"
#include "qmp/message.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace vmplug::qmp {

/// Names a call of one session.
using call_number = std::uint32_t;

/// What goes on the wire next. A file descriptor goes with the first byte of the text.
struct outgoing {
    std::string text;
    int descriptor = -1;
};

struct call_options {
    bool out_of_band = false; ///< run beside the queue; only commands that QEMU allows it for
    int descriptor = -1;      ///< passed with the command; the caller keeps it open until answered
};

/// The session is negotiated: calls go out now.
struct ready {};

/// A call was answered, or never will be.
struct completed {
    call_number call;
    result<nlohmann::json> answer;
};

/// The session is over; every call has got its `completed` before.
struct closed {
    error why;
};

using session_output = std::variant<ready, completed, event, closed>;

/// One conversation with a QMP monitor, without a socket or a clock: bytes in, bytes and outputs
/// out.
///
/// - The answer to a command of an earlier client that died goes to the next client, before the
///   answer to its qmp_capabilities. So that command has a long random id, and everything before
///   its answer is thrown away; from then on ids are short numbers.
/// - At most `in_band_max` commands are at QEMU at a time: beyond that it stops reading, and
///   out-of-band commands would wait too. At most one with a file descriptor, because QEMU gives
///   the descriptors that it holds to whichever command it parses next.
/// - A call that the caller has given up on keeps its place until its late answer has come.
///
/// Errors of calls: `command_failed` with QEMU's class and desc verbatim; `connection_lost` when it
/// was sent (it may have run); `monitor_gone` when it was not (it has not).
class session {
public:
    static constexpr std::size_t in_band_max = 8;

    /// `negotiation_id` is random: 16 letters or digits at least.
    explicit session(std::string negotiation_id, limits bounds = {});

    void receive(std::string_view bytes);

    /// The peer closed, or reading or writing failed.
    void disconnect(error why);

    /// Queues a command. `arguments` is a JSON object's text, or empty.
    call_number call(std::string command, std::string_view arguments, call_options options = {});

    /// Gives up on a call: nothing is reported for it any more. Returns whether it had been sent.
    bool forget(call_number call);

    /// The next text to write; nothing while there is none. What is returned is sent as a whole or
    /// the session is over: half a command cannot be taken back.
    std::optional<outgoing> next_write();

    std::optional<session_output> next_output();

    bool is_ready() const { return phase_ == phase::negotiated; }
    /// What the peer said of itself, once it has.
    const std::optional<greeting>& peer() const { return peer_; }

private:
    enum class phase { greeting, negotiating, negotiated, over };

    struct queued_call {
        call_number number;
        std::string command;
        outgoing message;
        bool in_band;
    };
    struct sent_call {
        std::string command;
        bool in_band;
        bool with_descriptor;
        bool forgotten;
    };

    void take(message received);
    void take_greeting(const greeting& received);
    void take_negotiation(const reply& received);
    void take_reply(reply received);
    void end(error why);
    bool may_send(const queued_call& candidate) const;

    std::string negotiation_id_;
    framer framer_;
    phase phase_ = phase::greeting;
    std::optional<greeting> peer_;
    std::optional<outgoing> negotiation_;
    std::deque<queued_call> queue_;
    std::map<call_number, sent_call> sent_;
    std::deque<session_output> outputs_;
    std::size_t in_band_sent_ = 0;
    std::size_t descriptors_sent_ = 0;
    call_number last_number_ = 0;
};

} // namespace vmplug::qmp
