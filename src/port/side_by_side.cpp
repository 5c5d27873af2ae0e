#include "port/side_by_side.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <memory>

namespace vmplug {

namespace asio = boost::asio;

asio::awaitable<void> side_by_side(std::vector<asio::awaitable<void>> all) {
    struct shared {
        asio::steady_timer ended; ///< never expires: it is cancelled
        std::size_t running;
        std::exception_ptr failure;
    };
    const auto executor = co_await asio::this_coro::executor;
    const auto state = std::make_shared<shared>(shared{
        asio::steady_timer(executor, asio::steady_timer::time_point::max()), all.size(), {}});
    for (auto& each : all)
        asio::co_spawn(executor, std::move(each), [state](std::exception_ptr failure) {
            if (failure) state->failure = failure;
            if (--state->running == 0) state->ended.cancel();
        });
    while (state->running > 0)
        co_await state->ended.async_wait(asio::as_tuple(asio::use_awaitable));
    if (state->failure) std::rethrow_exception(state->failure);
}

} // namespace vmplug
