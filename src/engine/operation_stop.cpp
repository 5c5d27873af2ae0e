#include "engine/operation_stop.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <utility>

namespace vmplug {

/// The watch of the time may look at it when the operation has ended.
struct operation_stop::state {
    std::stop_source source;
    std::stop_source ended; ///< the operation has: nobody watches its time any more
    clock::duration most{};
    bool expired = false;

    static boost::asio::awaitable<void> watch(std::shared_ptr<state> which, clock& time) {
        co_await time.wait(which->most, which->ended.get_token());
        if (which->ended.stop_requested() || which->source.stop_requested()) co_return;
        which->expired = true;
        which->source.request_stop();
    }
};

operation_stop::operation_stop(std::stop_token callers)
    : state_(std::make_shared<state>()),
      from_caller_(std::move(callers), [kept = state_] { kept->source.request_stop(); }) {}

operation_stop::~operation_stop() {
    state_->ended.request_stop();
}

void operation_stop::limit(const boost::asio::any_io_executor& executor, clock& time,
                           clock::duration most) {
    state_->most = most;
    boost::asio::co_spawn(executor, state::watch(state_, time), boost::asio::detached);
}

std::stop_token operation_stop::token() const {
    return state_->source.get_token();
}

error operation_stop::why(std::string where) const {
    if (!state_->expired)
        return {error_code::cancelled, std::move(where), "it was asked to stop", {}};
    return {error_code::timed_out,
            std::move(where),
            "the time for all of it, " + std::to_string(state_->most.count()) + " ms, is over",
            {}};
}

} // namespace vmplug
