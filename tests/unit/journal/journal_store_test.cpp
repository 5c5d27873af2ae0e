#include "journal/journal.hpp"
#include "journal/journal_store.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <set>

#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmplug;
using boost::asio::awaitable;

namespace {

struct temporary_directory {
    temporary_directory() {
        std::string pattern = "/tmp/vmplug-store-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~temporary_directory() { std::filesystem::remove_all(path); }
    std::string path;
};

/// Another process that has the journal for itself.
class busy_journal {
public:
    explicit busy_journal(const std::string& directory) {
        REQUIRE(sqlite3_open((directory + "/journal.db").c_str(), &database_) == SQLITE_OK);
        REQUIRE(sqlite3_exec(database_, "begin immediate", nullptr, nullptr, nullptr) == SQLITE_OK);
    }
    busy_journal(const busy_journal&) = delete;
    busy_journal& operator=(const busy_journal&) = delete;
    ~busy_journal() { sqlite3_close(database_); }

private:
    sqlite3* database_ = nullptr;
};

operation_record sample(const std::string& name = "0000:01:00.0") {
    operation_record record;
    record.subject = {{"device", name}};
    record.steps.resize(3);
    return record;
}

std::size_t count_threads() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                      std::filesystem::directory_iterator()));
}

/// The commits in the write-ahead log: the frames that tell how big the file is after them.
int count_commits(const std::string& directory) {
    std::ifstream file(directory + "/journal.db-wal", std::ios::binary);
    const std::string log(std::istreambuf_iterator<char>(file), {});
    constexpr std::size_t log_header = 32;
    constexpr std::size_t frame = 24 + 4096;
    int commits = 0;
    for (auto at = log_header; at + frame <= log.size(); at += frame)
        if (log.compare(at + 4, 4, std::string(4, '\0')) != 0) ++commits;
    return commits;
}

/// One save, as an operation waits for it.
struct saving {
    operation_record record;
    std::optional<result<void>> told;
};

awaitable<void> save(records& book, saving& one) {
    one.told = co_await book.save(one.record);
}

/// Lets `io` run until it is so.
void run_until(boost::asio::io_context& io, const std::function<bool()>& is_so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!is_so()) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        io.restart();
        io.run_for(std::chrono::milliseconds(1));
    }
}

/// Several at once, and the commit before them is still under way.
template <class List>
void save_at_once(const std::string& directory, records& book, List& all) {
    boost::asio::io_context io;
    saving first{sample("first"), {}};
    {
        const busy_journal other(directory);
        boost::asio::co_spawn(io, save(book, first), boost::asio::detached);
        for (auto& each : all)
            boost::asio::co_spawn(io, save(book, each), boost::asio::detached);
        io.poll();
        CHECK_FALSE(first.told);
    }
    io.restart();
    io.run();
    CHECK(first.told->has_value());
}

/// A journal that is there, without anybody who has it open.
void make_journal(const std::string& directory) {
    REQUIRE(journal::open(directory).has_value());
}

} // namespace

TEST_CASE("saves that come together share a commit, and all are on the disk") {
    const temporary_directory directory;
    make_journal(directory.path);
    auto reader = journal::open(directory.path).value(); // the log stays while it is open
    const auto before = count_commits(directory.path);
    journal_store store(directory.path);
    const auto book = store.open().value();
    std::vector<saving> all(32);
    save_at_once(directory.path, *book, all);
    std::set<std::int64_t> numbers;
    for (const auto& each : all) {
        CHECK(each.told->has_value());
        CHECK(each.record.version == 1);
        CHECK(reader.load(each.record.number).has_value());
        numbers.insert(each.record.number);
    }
    CHECK(numbers.size() == all.size());
    // The first may have begun alone, or with some of the others.
    CHECK(count_commits(directory.path) - before <= 2);
}

TEST_CASE("each save of a group has its own fate") {
    const temporary_directory directory;
    make_journal(directory.path);
    journal_store store(directory.path);
    const auto book = store.open().value();
    auto known = sample();
    known.request_id = "key";
    REQUIRE(journal::open(directory.path)->save(known).has_value());
    std::vector<saving> all(4);
    all[0].record = all[1].record = known;
    all[0].record.version = 0; // as it was read before that
    all[2].record = sample();
    all[2].record.request_id = "key"; // is taken
    all[3].record = sample();
    save_at_once(directory.path, *book, all);
    CHECK(all[0].told->error().code == error_code::operation_conflict);
    CHECK(all[0].record.version == 0);
    CHECK(all[1].told->has_value());
    CHECK(all[1].record.version == 2);
    CHECK(all[2].told->error().code == error_code::journal_unavailable);
    CHECK(all[2].record.number == 0);
    CHECK(all[3].told->has_value());
    auto reader = journal::open(directory.path).value();
    CHECK(reader.load_open()->size() == 3);
    CHECK(reader.load(all[3].record.number).has_value());
}

TEST_CASE("two saves of one record in one group: the second has not seen the first") {
    const temporary_directory directory;
    make_journal(directory.path);
    journal_store store(directory.path);
    const auto book = store.open().value();
    auto known = sample();
    REQUIRE(journal::open(directory.path)->save(known).has_value());
    std::vector<saving> all(2);
    all[0].record = all[1].record = known;
    all[0].record.subject["by"] = "the first";
    save_at_once(directory.path, *book, all);
    CHECK(all[0].told->has_value());
    CHECK(all[1].told->error().code == error_code::operation_conflict);
    CHECK(field(journal::open(directory.path)->load(known.number)->subject, "by") == "the first");
}

TEST_CASE("an operation's saves keep their order among those of others") {
    const temporary_directory directory;
    journal_store store(directory.path);
    boost::asio::io_context io;
    constexpr int operations = 20;
    constexpr int saves = 10;
    std::vector<operation_record> last(operations);
    const auto run = [&](int which) -> awaitable<void> {
        const auto book = store.open().value();
        auto record = sample();
        for (int i = 0; i < saves; ++i) {
            record.steps[0].planned.arguments["turn"] = std::to_string(i);
            const auto saved = co_await book->save(record);
            CHECK(saved.has_value());
            const auto found = co_await book->load(record.number);
            CHECK(field(found->steps[0].planned.arguments, "turn") == std::to_string(i));
        }
        last[static_cast<std::size_t>(which)] = record;
    };
    for (int i = 0; i < operations; ++i)
        boost::asio::co_spawn(io, run(i), boost::asio::detached);
    io.run();
    auto reader = journal::open(directory.path).value();
    for (const auto& each : last)
        CHECK(reader.load(each.number)->version == saves);
}

TEST_CASE("a busy journal does not keep the loop from anything else") {
    const temporary_directory directory;
    make_journal(directory.path);
    journal_store store(directory.path);
    const auto book = store.open().value();
    boost::asio::io_context io;
    saving one{sample(), {}};
    std::optional<std::size_t> seen;
    {
        const busy_journal other(directory.path);
        boost::asio::co_spawn(io, save(*book, one), boost::asio::detached);
        boost::asio::post(io, [&] { seen = 1; });
        run_until(io, [&] { return seen.has_value(); });
        CHECK_FALSE(one.told);
    }
    run_until(io, [&] { return one.told.has_value(); });
    CHECK(one.told->has_value());
}

TEST_CASE("a caller that goes away leaves a save that is whole") {
    const temporary_directory directory;
    make_journal(directory.path);
    for (int round = 0; round < 20; ++round) {
        journal_store store(directory.path);
        const auto book = store.open().value();
        auto io = std::make_unique<boost::asio::io_context>();
        auto one = std::make_unique<saving>(saving{sample(), {}});
        {
            const busy_journal other(directory.path);
            boost::asio::co_spawn(*io, save(*book, *one), boost::asio::detached);
            io->poll();
            io.reset();
            one.reset();
        }
    }
    auto reader = journal::open(directory.path).value();
    for (const auto& each : reader.load_open().value()) {
        CHECK(each.steps.size() == 3);
        CHECK(each.version == 1);
    }
}

TEST_CASE("the store ends while its callers wait") {
    const temporary_directory directory;
    make_journal(directory.path);
    boost::asio::io_context io;
    std::vector<saving> all(8);
    {
        journal_store store(directory.path);
        for (auto& each : all) {
            const auto run = [](journal_store& from, saving& to) -> awaitable<void> {
                const auto book = from.open().value();
                co_await save(*book, to);
            };
            boost::asio::co_spawn(io, run(store, each), boost::asio::detached);
        }
        io.poll();
    }
    io.restart();
    io.poll();
}

TEST_CASE("a disk without room fails all of a group, and the next finds it as it was") {
    const temporary_directory directory;
    make_journal(directory.path);
    auto reader = journal::open(directory.path).value();
    journal_store store(directory.path);
    const auto book = store.open().value();
    boost::asio::io_context io;
    std::vector<saving> all(8);
    for (auto& each : all)
        each.record = sample(std::string(20'000, 'x'));
    rlimit room{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &room) == 0);
    auto small = room;
    small.rlim_cur = 65'536;
    const auto kept = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (auto& each : all)
        boost::asio::co_spawn(io, save(*book, each), boost::asio::detached);
    io.run();
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &room) == 0);
    std::signal(SIGXFSZ, kept);
    const auto durable = reader.load_open()->size();
    CHECK(durable < all.size());
    std::size_t saved = 0;
    for (const auto& each : all) {
        if (each.told->has_value()) ++saved;
        if (each.told->has_value()) continue;
        CHECK(each.told->error().code == error_code::journal_unavailable);
        CHECK(each.record.number == 0);
        CHECK(each.record.version == 0);
    }
    CHECK(saved == durable);
    saving again{sample(), {}};
    boost::asio::co_spawn(io, save(*book, again), boost::asio::detached);
    io.restart();
    io.run();
    CHECK(again.told->has_value());
}

TEST_CASE("several processes save to one journal at once") {
    const temporary_directory directory;
    constexpr std::size_t saves = 20;
    const auto save_all = [&] {
        journal_store store(directory.path);
        boost::asio::io_context io;
        std::vector<saving> all(saves);
        const auto book = store.open().value();
        for (auto& each : all)
            boost::asio::co_spawn(io, save(*book, each), boost::asio::detached);
        io.run();
        return std::ranges::all_of(all, [](const auto& each) { return each.told->has_value(); });
    };
    std::vector<int> children(3);
    for (auto& child : children)
        if (child = ::fork(); child == 0) ::_exit(save_all() ? 0 : 1);
    CHECK(save_all());
    for (const auto child : children) {
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    CHECK(journal::open(directory.path)->load_open()->size() == 4 * saves);
}

TEST_CASE("there is one thread, from the first call on, and none for a look at once") {
    const temporary_directory directory;
    const auto before = count_threads();
    boost::asio::io_context io;
    const auto look = [](record_store& from) -> awaitable<void> {
        const auto book = from.open_to_read().value();
        const auto open = co_await book->load_open();
        CHECK(open.has_value());
    };
    {
        journal_store store(directory.path, journal_store::looks::at_once);
        boost::asio::co_spawn(io, look(store), boost::asio::detached);
        io.run();
        CHECK(count_threads() == before);
        CHECK(std::filesystem::is_empty(directory.path));
        const auto book = store.open().value();
        CHECK(count_threads() == before);
        std::vector<saving> all(4);
        for (auto& each : all)
            boost::asio::co_spawn(io, save(*book, each), boost::asio::detached);
        io.restart();
        io.run();
        CHECK(count_threads() == before + 1);
    }
    CHECK(count_threads() == before);
    {
        journal_store store(directory.path + "/none");
        boost::asio::co_spawn(io, look(store), boost::asio::detached);
        io.restart();
        io.run();
        CHECK_FALSE(std::filesystem::exists(directory.path + "/none"));
    }
}

TEST_CASE("what is saved goes to the journal that is there, not to one that was moved away") {
    const temporary_directory directory;
    journal_store store(directory.path + "/state");
    boost::asio::io_context io;
    for (int i = 0; i < 2; ++i) {
        saving one{sample(), {}};
        const auto book = store.open().value();
        boost::asio::co_spawn(io, save(*book, one), boost::asio::detached);
        io.restart();
        io.run();
        REQUIRE(one.told->has_value());
        CHECK(journal::open(directory.path + "/state")->load_open()->size() == 1);
        std::filesystem::rename(directory.path + "/state",
                                directory.path + "/old" + std::to_string(i));
    }
}

TEST_CASE("its files are for us alone, whatever the umask, which it leaves alone") {
    const temporary_directory directory;
    const auto before = ::umask(0);
    auto opened = journal::open(directory.path + "/a/b");
    CHECK(::umask(before) == 0);
    auto record = sample();
    REQUIRE(opened->save(record).has_value());
    const auto mode_of = [&](const char* name) {
        struct stat found {};
        REQUIRE(::stat((directory.path + name).c_str(), &found) == 0);
        return found.st_mode & 0777;
    };
    CHECK(mode_of("/a") == 0700);
    CHECK(mode_of("/a/b") == 0700);
    for (const char* name : {"/a/b/journal.db", "/a/b/journal.db-wal", "/a/b/journal.db-shm"})
        CHECK(mode_of(name) == 0600);
}
