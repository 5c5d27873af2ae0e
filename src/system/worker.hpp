#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace vmplug {

/// A thread for what can block: a disk that is slow, a kernel that has much to tell. Its work is
/// done one after the other, in the order in which it came.
///
/// It begins with the first work, and ends with its owner: after what it is at, without what it had
/// not begun. Signals are for the other threads. Where there can be no further thread, work is done
/// at once, by whoever brings it.
class worker {
public:
    /// One that may have none does all work at once.
    explicit worker(bool may_begin = true) : may_begin_(may_begin) {}
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
    ~worker();

    /// From any thread. What the work refers to has to live as long as the worker does.
    void run(std::function<void()> work);

    bool has_begun() const;

private:
    bool begin();
    void work_off();

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> waiting_;
    const bool may_begin_;
    bool ends_ = false;
    std::thread thread_;
};

/// What a coroutine waits for while another thread makes it. Both share it, and either may go away
/// first: the coroutine with its frame and with all that it runs on.
template <class Value>
class awaited : public std::enable_shared_from_this<awaited<Value>> {
public:
    explicit awaited(boost::asio::any_io_executor home) : home_(std::move(home)) {}

    /// Does `work` for it. From any thread, once.
    template <class Work>
    void bring(Work&& work) {
        std::optional<Value> made;
        std::exception_ptr failure;
        try {
            made.emplace(work());
        } catch (...) {
            failure = std::current_exception();
        }
        const std::lock_guard guard(mutex_);
        value_ = std::move(made);
        failure_ = failure;
        has_come_ = true;
        // Under the lock: who goes away waits until nothing is sent there any more.
        if (!gone_)
            boost::asio::post(home_, [self = this->shared_from_this()] {
                if (self->alarm_) self->alarm_->cancel();
            });
    }

    /// On its home. Throws what the work threw.
    static boost::asio::awaitable<Value> wait(std::shared_ptr<awaited> here) {
        boost::asio::steady_timer alarm(here->home_, boost::asio::steady_timer::time_point::max());
        const visit there(*here, alarm);
        while (!here->has_come())
            co_await alarm.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        if (here->failure_) std::rethrow_exception(here->failure_);
        co_return std::move(*here->value_);
    }

private:
    /// For as long as the coroutine is there.
    class visit {
    public:
        visit(awaited& here, boost::asio::steady_timer& alarm) : here_(here) {
            here_.alarm_ = &alarm;
        }
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;
        ~visit() {
            here_.alarm_ = nullptr;
            const std::lock_guard guard(here_.mutex_);
            here_.gone_ = true;
        }

    private:
        awaited& here_;
    };

    bool has_come() {
        const std::lock_guard guard(mutex_);
        return has_come_;
    }

    boost::asio::any_io_executor home_;
    boost::asio::steady_timer* alarm_ = nullptr; ///< of the coroutine; used on its home alone
    std::mutex mutex_;
    bool gone_ = false;
    bool has_come_ = false;
    std::optional<Value> value_;
    std::exception_ptr failure_;
};

/// Does `work` on that thread; its caller goes on where it was. `work` has to own what it uses: the
/// caller may be gone by then.
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> off_the_loop(worker& hands, Work work) {
    using value = std::invoke_result_t<Work&>;
    const auto home = co_await boost::asio::this_coro::executor;
    const auto here = std::make_shared<awaited<value>>(home);
    hands.run([here, work = std::move(work)]() mutable { here->bring(work); });
    co_return co_await awaited<value>::wait(here);
}

/// One reading for all who asked before it began. One that was under way already may have missed
/// what its caller has just done: whoever asks meanwhile gets the next, together.
template <class Value>
class shared_reading {
public:
    /// `read` runs on the worker's thread, which has to end before this does.
    shared_reading(worker& hands, std::function<Value()> read)
        : hands_(hands), read_(std::move(read)) {}

    boost::asio::awaitable<Value> ask() {
        const auto home = co_await boost::asio::this_coro::executor;
        const auto here = std::make_shared<awaited<Value>>(home);
        if (is_first(here)) hands_.run([this] { answer(); });
        co_return co_await awaited<Value>::wait(here);
    }

private:
    using asker = std::shared_ptr<awaited<Value>>;

    bool is_first(const asker& here) {
        const std::lock_guard guard(mutex_);
        waiting_.push_back(here);
        return waiting_.size() == 1;
    }

    std::vector<asker> take_waiting() {
        const std::lock_guard guard(mutex_);
        return std::exchange(waiting_, {});
    }

    void answer() {
        const auto all = take_waiting();
        std::optional<Value> seen;
        std::exception_ptr failure;
        try {
            seen.emplace(read_());
        } catch (...) {
            failure = std::current_exception();
        }
        for (std::size_t i = 0; i < all.size(); ++i)
            all[i]->bring([&]() -> Value {
                if (failure) std::rethrow_exception(failure);
                return i + 1 == all.size() ? std::move(*seen) : *seen;
            });
    }

    worker& hands_;
    std::function<Value()> read_;
    std::mutex mutex_;
    std::vector<asker> waiting_;
};

} // namespace vmplug
