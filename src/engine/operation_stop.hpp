#pragma once

#include "port/clock.hpp"

#include <vmplug/error.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

namespace vmplug {

/// The one stop of an operation: its caller's, or the end of its time, whichever comes first.
///
/// Lifetime: of the operation. The clock has to outlive it; it leaves nothing behind that waits.
class operation_stop {
public:
    /// `callers` is asked for on the executor of the operation.
    explicit operation_stop(std::stop_token callers);
    ~operation_stop();
    operation_stop(const operation_stop&) = delete;
    operation_stop& operator=(const operation_stop&) = delete;

    /// Asks for the stop itself when `most` has passed. Called once, and not before somebody runs
    /// on `executor`.
    void limit(const boost::asio::any_io_executor& executor, clock& time, clock::duration most);

    std::stop_token token() const;

    /// Why it was asked for: `cancelled` or `timed_out`.
    error why(std::string where) const;

private:
    struct state;
    std::shared_ptr<state> state_;
    std::stop_callback<std::function<void()>> from_caller_;
};

} // namespace vmplug
