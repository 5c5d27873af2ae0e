#pragma once

#include "journal/journal.hpp"
#include "system/worker.hpp"

#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// A journal on a thread of its own, with one connection for all operations of this process.
///
/// Saves that are asked for while a commit is under way are written with the next, all at once.
class journal_thread {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    explicit journal_thread(std::string directory);

    /// Whether it has begun: then whatever is asked of the journal is asked here.
    bool has_begun() const { return worker_.has_begun(); }

    /// Gives the records as they are saved. What has begun is finished also when its caller has
    /// gone.
    task<std::vector<operation_record>> save(std::vector<operation_record> all);

    /// Runs `work` on the journal. What is only looked at is not made: an absent one is empty.
    template <class Work>
    auto ask(bool may_make, Work work)
        -> boost::asio::awaitable<std::invoke_result_t<Work&, journal&>> {
        auto asked = [this, may_make, work = std::move(work)]() mutable {
            return run(may_make, work);
        };
        return off_the_loop(worker_, std::move(asked));
    }

private:
    using saved_records = result<std::vector<operation_record>>;

    struct waiting_save {
        std::vector<operation_record> all;
        std::shared_ptr<awaited<saved_records>> asker;
    };

    /// On the thread, as all that follows.
    template <class Work>
    std::invoke_result_t<Work&, journal&> run(bool may_make, Work& work) {
        if (!is_open() && !may_make) {
            auto looked_at = journal::open_to_read(directory_);
            if (looked_at.has_error()) return looked_at.error();
            return work(*looked_at);
        }
        if (auto opened = open(); opened.has_error()) return opened.error();
        auto told = work(*journal_);
        if (told.has_error()) close_after(told.error());
        return told;
    }

    bool is_first(waiting_save save);
    void commit_waiting();
    result<void> write(std::vector<waiting_save>& waiting, std::vector<journal_save>& group);

    bool is_open() const { return journal_ && journal_->is_in_place(); }
    result<void> open();

    /// One that failed is opened anew by the next call.
    void close_after(const error& failure);

    const std::string directory_;
    std::mutex mutex_;
    std::vector<waiting_save> waiting_;
    std::optional<journal> journal_;
    worker worker_; ///< last: it ends before what it works on
};

} // namespace vmplug
