#pragma once

#include <vmplug/error.hpp>

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace vmplug {

/// Where a monitor listens.
struct monitor_address {
    std::string path;      ///< of a Unix socket, or its abstract name; empty: TCP
    bool abstract = false; ///< `path` is a name in a network namespace, and no file
    std::string host;
    std::uint16_t port = 0;
    bool human = false; ///< speaks HMP

    bool operator==(const monitor_address&) const = default;
};

/// Parses `PATH` (it holds a slash), `qmp:PATH`, `qmp:@NAME` (an abstract socket) or
/// `tcp:HOST:PORT`; for a human monitor `hmp:PATH`, `hmp:@NAME` or `hmp:tcp:HOST:PORT`.
/// Errors: `invalid_argument`.
result<monitor_address> parse_monitor_address(std::string_view text);
std::string format_monitor_address(const monitor_address& address);

struct monitor_options {
    std::chrono::milliseconds greeting_deadline{2000};
    std::size_t event_queue_max = 1024;                       ///< of each subscriber
    std::size_t event_queue_bytes_max = std::size_t{4} << 20; ///< as they are in memory
    /// A process in whose network namespace TCP addresses and abstract names are meant; 0: our own.
    std::int32_t network_of = 0;
};

/// Something that QEMU reported. `data` is JSON text, empty when the event has none; times are
/// microseconds since 1970.
struct monitor_event {
    std::string name;
    std::string data;
    std::int64_t timestamp_us = 0;
};

/// The events of one subscriber, oldest first.
///
/// The socket is always read, so a slow subscriber loses events instead of making QEMU hold them:
/// beyond the queue's size, in events or in bytes, the oldest are dropped and counted.
class event_queue {
public:
    struct state;
    explicit event_queue(std::shared_ptr<state> shared);
    ~event_queue();
    event_queue(event_queue&&) noexcept;
    event_queue& operator=(event_queue&&) noexcept;

    /// The next event, nothing at the deadline or when a stop is asked for.
    /// Errors: `monitor_gone` when the monitor is closed and the queue is empty.
    boost::asio::awaitable<result<std::optional<monitor_event>>>
    next(std::chrono::milliseconds deadline, std::stop_token stop = {});

    std::uint64_t dropped() const;

private:
    friend struct typed_events; ///< for vmplug itself: the same events without text in between
    std::shared_ptr<state> state_;
};

/// A call on its way. Letting go of it gives the call up; its late answer is swallowed.
class pending_call {
public:
    struct state;
    explicit pending_call(std::shared_ptr<state> shared);
    ~pending_call();
    pending_call(pending_call&&) noexcept;
    pending_call& operator=(pending_call&&) noexcept;

    /// Waits for the answer.
    ///
    /// Errors: `command_failed` (QEMU's class and desc verbatim), `timed_out` and `cancelled` (the
    /// command may have run, or may still), `connection_lost` (it may have run), `monitor_gone` (it
    /// was never sent).
    /// Cancellation: the call is detached; what was sent runs on in QEMU.
    /// A stop, asked for on the executor of the monitor, ends the wait as `cancelled`.
    boost::asio::awaitable<result<nlohmann::json>> wait(std::chrono::milliseconds deadline,
                                                        std::stop_token stop = {});

private:
    std::shared_ptr<state> state_;
};

/// A connection to a QMP monitor, negotiated.
///
/// Lifetime: all members are called on the executor of the coroutine that connected. Destroying it
/// closes the connection, with the last of those that share it; calls in flight end with
/// `connection_lost`.
/// Source: docs/interop/qmp-spec.rst of QEMU.
class monitor {
public:
    /// Errors: `no_monitor` (nothing listens there, or it is no socket), `permission_denied`,
    /// `monitor_busy` (accepted, but no greeting: another client holds it, or QEMU is stopped),
    /// `monitor_silent` (greeted, but no answer to the negotiation), `protocol_violation`.
    static boost::asio::awaitable<result<std::unique_ptr<monitor>>>
    connect(monitor_address address, monitor_options options);

    ~monitor();

    /// Sends a command. `arguments` is a JSON object's text, or empty. A descriptor is passed with
    /// it (SCM_RIGHTS) and must stay open until the call has ended.
    pending_call start(std::string command, std::string arguments, int descriptor = -1);

    /// `start` and `wait` in one.
    boost::asio::awaitable<result<nlohmann::json>> call(std::string command, std::string arguments,
                                                        std::chrono::milliseconds deadline,
                                                        std::stop_token stop = {});

    /// The same connection for somebody else: QEMU serves one client at a time.
    std::unique_ptr<monitor> share() const;

    /// For whoever may share it later, as long as somebody has it open; keeps nothing open.
    class reference;
    reference refer() const;

    /// Events from now on. Subscribe before sending what causes them.
    event_queue subscribe();

    const std::string& address() const; ///< "qmp:/run/web.qmp"
    const std::string& version() const; ///< "7.2.22"
    int descriptor() const;             ///< its socket, to ask the kernel about; -1: closed
    bool is_open() const;

    struct connection;

private:
    explicit monitor(std::shared_ptr<connection> shared);
    std::shared_ptr<connection> connection_;
};

class monitor::reference {
public:
    /// Nullptr when it is closed.
    std::unique_ptr<monitor> share() const;

private:
    friend class monitor;
    std::weak_ptr<connection> connection_;
};

} // namespace vmplug
