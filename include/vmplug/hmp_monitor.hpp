#pragma once

#include <vmplug/monitor.hpp>

namespace vmplug {

/// A connection to a human monitor (HMP), at its prompt. One line at a time.
///
/// Lifetime: all members are called on the executor of the coroutine that connected. Destroying it
/// closes the connection.
/// Source: monitor.c and util/readline.c of QEMU.
class hmp_monitor {
public:
    /// Errors: `no_monitor`, `permission_denied`, `monitor_busy` (accepted, but nothing came),
    /// `protocol_violation` (it is no human monitor).
    static boost::asio::awaitable<result<std::unique_ptr<hmp_monitor>>>
    connect(monitor_address address, monitor_options options);

    ~hmp_monitor();

    /// Runs one line and returns what it printed, with '\n' line ends and without the prompt.
    ///
    /// Errors: `command_failed` with QEMU's words; `invalid_argument` and `limit_exceeded` (nothing
    /// was sent); `timed_out` and `connection_lost` (it may have run), after which the connection
    /// is closed; `monitor_gone` (it was closed before: nothing was sent).
    /// Cancellation: ask for a stop, on the executor of the monitor; it ends as `cancelled` (it may
    /// have run), and the connection is closed.
    boost::asio::awaitable<result<std::string>>
    call(std::string line, std::chrono::milliseconds deadline, std::stop_token stop = {});

    const std::string& address() const; ///< "hmp:/run/web.hmp"
    const std::string& version() const; ///< "7.2.22"
    int descriptor() const;             ///< as of `monitor`
    bool is_open() const;

    struct connection;

private:
    explicit hmp_monitor(std::unique_ptr<connection> shared);
    std::unique_ptr<connection> connection_;
};

} // namespace vmplug
