#pragma once

#include "qapi/request.hpp"

#include <vmplug/monitor.hpp>

#include <nlohmann/json.hpp>

namespace vmplug {

/// A command of protocol/qapi on its way: sent when it is made, given up when it is let go of.
template <class Command>
class typed_call {
public:
    typed_call(monitor& through, const Command& command)
        : call_(through.start(std::string(Command::name), command.encode())) {}

    /// Waits for the answer, and reads it.
    ///
    /// Errors: as of `pending_call::wait`; `protocol_violation` and `limit_exceeded` for an answer
    /// that has not the form that QEMU gives it. The command ran then.
    boost::asio::awaitable<result<typename Command::reply>> wait(std::chrono::milliseconds deadline,
                                                                 std::stop_token stop = {}) {
        const auto answer = co_await call_.wait(deadline, std::move(stop));
        if (answer.has_error()) co_return answer.error();
        co_return Command::parse(*answer);
    }

private:
    pending_call call_;
};

} // namespace vmplug
