#pragma once

#include "port/clock.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace vmplug::testing {

/// Time that passes only when nobody has anything else to do: an hour in no time, and in the same
/// order each time.
class virtual_clock final : public clock {
    struct waiter {
        std::function<void()> act;
        bool done = false;

        void finish() {
            if (std::exchange(done, true)) return;
            act();
        }
    };

public:
    /// What may end a wait before its time.
    class signal {
    public:
        void raise() {
            for (auto& each : std::exchange(waiting_, {}))
                if (auto one = each.lock()) one->finish();
        }

    private:
        friend class virtual_clock;
        std::vector<std::weak_ptr<waiter>> waiting_;
    };

    explicit virtual_clock(boost::asio::io_context& io) : io_(io) {}

    time_point now() const override { return now_; }
    std::chrono::system_clock::time_point date() const override {
        return std::chrono::system_clock::time_point(now_.time_since_epoch());
    }
    using clock::wait;
    boost::asio::awaitable<void> wait(duration time, std::stop_token stop) override {
        signal stopped;
        const std::stop_callback wake(stop, [&stopped] { stopped.raise(); });
        if (!stop.stop_requested()) co_await wait_for(time, &stopped);
    }

    /// Ends at the signal, if that is raised first.
    boost::asio::awaitable<void> wait_for(duration time, signal* early) {
        auto start = [this, time, early](auto handler) {
            auto kept = std::make_shared<decltype(handler)>(std::move(handler));
            auto one = add(
                time, [this, kept] { boost::asio::post(io_, [kept] { std::move (*kept)(); }); });
            if (early) early->waiting_.push_back(one);
        };
        co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(
            std::move(start), boost::asio::use_awaitable);
    }

    /// Something happens by itself, later.
    void later(duration time, std::function<void()> act) { add(time, std::move(act)); }

    /// Until nobody waits for anything.
    void run() {
        for (;;) {
            io_.restart();
            io_.poll();
            if (queue_.empty()) return;
            auto first = queue_.extract(queue_.begin());
            now_ = first.key().first;
            first.mapped()->finish();
            if (++steps_ > steps_max) throw std::logic_error("virtual time passes without an end");
        }
    }

    std::chrono::milliseconds elapsed() const {
        return std::chrono::duration_cast<duration>(now_ - time_point());
    }

private:
    static constexpr std::size_t steps_max = 2'000'000;

    std::shared_ptr<waiter> add(duration time, std::function<void()> act) {
        auto one = std::make_shared<waiter>();
        one->act = std::move(act);
        queue_.emplace(std::pair(now_ + time, ++number_), one);
        return one;
    }

    boost::asio::io_context& io_;
    time_point now_{};
    std::map<std::pair<time_point, std::uint64_t>, std::shared_ptr<waiter>> queue_;
    std::uint64_t number_ = 0;
    std::size_t steps_ = 0;
};

} // namespace vmplug::testing
