#include "journal/journal_thread.hpp"

#include <sqlite3.h>

namespace vmplug {

using boost::asio::awaitable;

/// A connection is used by its thread alone, but an SQLite that was built for one thread cannot
/// have a second connection on another.
journal_thread::journal_thread(std::string directory)
    : directory_(std::move(directory)), worker_(sqlite3_threadsafe() != 0) {}

awaitable<result<std::vector<operation_record>>>
journal_thread::save(std::vector<operation_record> all) {
    const auto home = co_await boost::asio::this_coro::executor;
    const auto asker = std::make_shared<awaited<saved_records>>(home);
    waiting_save asked{std::move(all), asker};
    if (is_first(std::move(asked))) worker_.run([this] { commit_waiting(); });
    co_return co_await awaited<saved_records>::wait(asker);
}

bool journal_thread::is_first(waiting_save save) {
    const std::lock_guard guard(mutex_);
    waiting_.push_back(std::move(save));
    return waiting_.size() == 1;
}

/// All that have come while the commit before was under way.
void journal_thread::commit_waiting() {
    std::vector<waiting_save> waiting;
    {
        const std::lock_guard guard(mutex_);
        waiting = std::exchange(waiting_, {});
    }
    std::vector<journal_save> group;
    group.reserve(waiting.size());
    const auto written = write(waiting, group);
    for (std::size_t i = 0; i < waiting.size(); ++i)
        waiting[i].asker->bring([&]() -> saved_records {
            if (written.has_error()) return written.error();
            if (group[i].fate.has_error()) return group[i].fate.error();
            return std::move(waiting[i].all);
        });
}

/// Returns why the journal could not be opened.
result<void> journal_thread::write(std::vector<waiting_save>& waiting,
                                   std::vector<journal_save>& group) {
    if (auto opened = open(); opened.has_error()) return opened;
    for (auto& each : waiting) {
        auto& save = group.emplace_back();
        for (auto& record : each.all)
            save.all.push_back(&record);
    }
    journal_->save_each(group);
    for (const auto& each : group)
        if (each.fate.has_error()) close_after(each.fate.error());
    return {};
}

/// One that was moved away or replaced meanwhile would take saves that nobody finds again.
result<void> journal_thread::open() {
    if (is_open()) return {};
    journal_.reset();
    auto opened = journal::open(directory_);
    if (opened.has_error()) return opened.error();
    journal_.emplace(std::move(*opened));
    return {};
}

void journal_thread::close_after(const error& failure) {
    if (failure.code == error_code::journal_unavailable ||
        failure.code == error_code::journal_corrupt)
        journal_.reset();
}

} // namespace vmplug
