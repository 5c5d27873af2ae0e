#include "system/worker.hpp"

#include <csignal>
#include <system_error>

namespace vmplug {
namespace {

/// A thread begins with the mask of the one that makes it.
class no_signals {
public:
    no_signals() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    no_signals(const no_signals&) = delete;
    no_signals& operator=(const no_signals&) = delete;
    ~no_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

} // namespace

worker::~worker() {
    {
        const std::lock_guard guard(mutex_);
        ends_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void worker::run(std::function<void()> work) {
    {
        const std::lock_guard guard(mutex_);
        if (thread_.joinable() || begin()) {
            waiting_.push_back(std::move(work));
            changed_.notify_one();
            return;
        }
    }
    work();
}

bool worker::has_begun() const {
    const std::lock_guard guard(mutex_);
    return thread_.joinable();
}

bool worker::begin() {
    if (!may_begin_) return false;
    const no_signals masked;
    try {
        thread_ = std::thread([this] { work_off(); });
    } catch (const std::system_error&) {
        return false;
    }
    return true;
}

void worker::work_off() {
    std::unique_lock guard(mutex_);
    for (;;) {
        changed_.wait(guard, [this] { return ends_ || !waiting_.empty(); });
        if (ends_) return;
        auto work = std::move(waiting_.front());
        waiting_.pop_front();
        guard.unlock();
        work();
        work = nullptr; // what it owns ends outside the lock
        guard.lock();
    }
}

} // namespace vmplug
