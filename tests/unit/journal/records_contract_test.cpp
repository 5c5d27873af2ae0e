// What operations rely on in `records`, of the journal and of the one that the simulation has in
// its place: what the fake does, the real one does.

#include "journal/journal_store.hpp"
#include "support/simulated_world.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <optional>

#include <unistd.h>

using namespace vmplug;

namespace {

/// On a disk, with its thread.
class real_journal {
public:
    real_journal() {
        std::string pattern = "/tmp/vmplug-contract-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
        store_.emplace(path_);
    }
    real_journal(const real_journal&) = delete;
    real_journal& operator=(const real_journal&) = delete;
    ~real_journal() {
        store_.reset();
        std::filesystem::remove_all(path_);
    }

    record_store& store() { return *store_; }
    boost::asio::io_context& io() { return io_; }
    void run() {
        io_.restart();
        io_.run();
    }

private:
    boost::asio::io_context io_;
    std::string path_;
    std::optional<journal_store> store_;
};

/// The simulation's, in virtual time.
class fake_journal {
public:
    record_store& store() { return process_.shared().at.store; }
    boost::asio::io_context& io() { return io_; }
    void run() { time_.run(); }

private:
    boost::asio::io_context io_;
    testing::virtual_clock time_{io_};
    testing::fake_world world_{time_};
    testing::simulated_disk disk_;
    testing::simulated_locks locks_;
    testing::simulated_process process_{world_, disk_, locks_, 1};
};

/// Asks one thing at a time.
template <class Kind>
class bench {
public:
    template <class Value>
    Value wait(boost::asio::awaitable<Value> asked) {
        std::optional<Value> told;
        std::exception_ptr failure;
        boost::asio::co_spawn(kind_.io(), std::move(asked),
                              [&](std::exception_ptr thrown, Value value) {
                                  failure = thrown;
                                  told.emplace(std::move(value));
                              });
        kind_.run();
        if (failure) std::rethrow_exception(failure);
        REQUIRE(told.has_value());
        return std::move(*told);
    }

    result<void> save(operation_record& record) { return wait(book().save(record)); }
    result<void> save(std::vector<operation_record*> all) {
        return wait(book().save_together(std::move(all)));
    }
    operation_record load(std::int64_t number) { return wait(book().load(number)).value(); }
    std::vector<std::int64_t> open() { return numbers_of(wait(book().load_open()).value()); }
    std::vector<std::int64_t> away() { return numbers_of(wait(book().load_assignments()).value()); }
    records::known_request find(const std::string& id) {
        return wait(book().find_request(id)).value();
    }
    result<void> note(const std::string& id, std::int64_t number) {
        return wait(book().note_request(id, "as it was asked", number));
    }
    records& book() { return *book_; }
    record_store& store() { return kind_.store(); }

private:
    static std::vector<std::int64_t> numbers_of(const std::vector<operation_record>& all) {
        std::vector<std::int64_t> numbers;
        for (const auto& each : all)
            numbers.push_back(each.number);
        return numbers;
    }

    Kind kind_;
    std::shared_ptr<records> book_ = kind_.store().open().value();
};

using numbers = std::vector<std::int64_t>;

operation_record sample(operation_kind kind = operation_kind::attach) {
    operation_record record;
    record.kind = kind;
    record.subject = {{"device", "0000:01:00.0"}, {"guest", "web"}};
    record.steps.resize(3);
    record.steps[0].planned = {"set_binding", {{"device", "0000:01:00.0"}}};
    record.steps[0].prior_state = {{"driver", "e1000e"}};
    return record;
}

operation_record ended(operation_kind kind, outcome how, std::int64_t releases = 0) {
    auto record = sample(kind);
    record.state = operation_state::closed;
    record.ended = how;
    record.releases = releases;
    return record;
}

} // namespace

TEST_CASE_TEMPLATE("a record has a number from its first save on, and is counted by its saves",
                   kind, real_journal, fake_journal) {
    bench<kind> journal;
    auto first = sample();
    auto second = sample();
    REQUIRE(journal.save(first).has_value());
    REQUIRE(journal.save(second).has_value());
    CHECK(first.number == 1);
    CHECK(second.number == 2);
    CHECK(first.version == 1);
    first.steps[0].state = step_state::begun;
    REQUIRE(journal.save(first).has_value());
    CHECK(first.number == 1);
    CHECK(first.version == 2);
    const auto found = journal.load(1);
    CHECK(found.version == 2);
    CHECK(found.kind == operation_kind::attach);
    CHECK(found.subject == first.subject);
    CHECK(found.steps.size() == 3);
    CHECK(found.steps[0].state == step_state::begun);
    CHECK(found.steps[0].prior_state == first.steps[0].prior_state);
    CHECK(journal.wait(journal.book().load(7)).error().code == error_code::invalid_argument);
}

TEST_CASE_TEMPLATE("what is saved replaces all that was, also more steps", kind, real_journal,
                   fake_journal) {
    bench<kind> journal;
    auto record = sample();
    REQUIRE(journal.save(record).has_value());
    record.steps.resize(1);
    REQUIRE(journal.save(record).has_value());
    CHECK(journal.load(1).steps.size() == 1);
}

TEST_CASE_TEMPLATE("what somebody else has saved since is not saved over", kind, real_journal,
                   fake_journal) {
    bench<kind> journal;
    auto record = sample();
    REQUIRE(journal.save(record).has_value());
    auto stale = journal.load(1);
    record.subject["guest"] = "db";
    REQUIRE(journal.save(record).has_value());
    CHECK(journal.save(stale).error().code == error_code::operation_conflict);
    CHECK(stale.version == 1);
    CHECK(field(journal.load(1).subject, "guest") == "db");
    auto again = journal.load(1);
    CHECK(journal.save(again).has_value());
}

TEST_CASE_TEMPLATE("what is saved together is saved all or none", kind, real_journal,
                   fake_journal) {
    bench<kind> journal;
    auto known = sample();
    REQUIRE(journal.save(known).has_value());
    auto stale = journal.load(1);
    REQUIRE(journal.save(known).has_value());
    auto fresh = sample();
    auto other = known;
    other.subject["guest"] = "db";
    CHECK(journal.save({&fresh, &other, &stale}).error().code == error_code::operation_conflict);
    CHECK(fresh.number == 0);
    CHECK(fresh.version == 0);
    CHECK(other.version == 2);
    CHECK(field(journal.load(1).subject, "guest") == "web");
    CHECK(journal.open() == numbers{1});
    REQUIRE(journal.save({&fresh, &other}).has_value());
    CHECK(fresh.number == 2);
    CHECK(field(journal.load(1).subject, "guest") == "db");
    CHECK(journal.save(std::vector<operation_record*>()).has_value());
}

TEST_CASE_TEMPLATE("open is what is not closed, oldest first", kind, real_journal, fake_journal) {
    bench<kind> journal;
    auto closed = ended(operation_kind::attach, outcome::rolled_back);
    auto applying = sample();
    auto reverting = sample(operation_kind::detach);
    reverting.state = operation_state::reverting;
    auto pending = sample(operation_kind::detach);
    pending.ended = outcome::unplug_pending;
    for (auto* each : {&closed, &applying, &reverting, &pending})
        REQUIRE(journal.save(*each).has_value());
    CHECK(journal.open() == numbers{2, 3, 4});
}

TEST_CASE_TEMPLATE("a device is away until what releases it is closed as done", kind, real_journal,
                   fake_journal) {
    bench<kind> journal;
    auto attach = ended(operation_kind::attach, outcome::done);
    auto bind = ended(operation_kind::bind, outcome::done);
    auto failed = ended(operation_kind::attach, outcome::rolled_back);
    for (auto* each : {&attach, &bind, &failed})
        REQUIRE(journal.save(*each).has_value());
    CHECK(journal.away() == numbers{1, 2});
    auto detach = sample(operation_kind::detach);
    detach.releases = 1;
    detach.ended = outcome::unplug_pending;
    REQUIRE(journal.save(detach).has_value());
    auto refused = ended(operation_kind::release, outcome::rolled_back, 2);
    REQUIRE(journal.save(refused).has_value());
    CHECK(journal.away() == numbers{1, 2});
    detach.state = operation_state::closed;
    detach.ended = outcome::done;
    REQUIRE(journal.save(detach).has_value());
    CHECK(journal.away() == numbers{2});
}

TEST_CASE_TEMPLATE("a key stands for what it stood for first", kind, real_journal, fake_journal) {
    bench<kind> journal;
    auto first = sample();
    first.request_id = "key";
    first.asked = "attach web";
    REQUIRE(journal.save(first).has_value());
    auto second = sample();
    second.request_id = "key";
    CHECK(journal.save(second).has_error());
    CHECK(second.number == 0);
    CHECK(journal.find("key").operation.number == 1);
    CHECK(journal.find("key").asked == "attach web");
    CHECK(journal.find("other").operation.number == 0);
    CHECK(journal.find("").operation.number == 0);
    REQUIRE(journal.note("other", 1).has_value());
    CHECK(journal.find("other").operation.number == 1);
    CHECK(journal.find("other").asked == "as it was asked");
    auto third = sample();
    REQUIRE(journal.save(third).has_value());
    CHECK(journal.note("other", third.number).has_error());
    CHECK(journal.find("other").operation.number == 1);
    // The operation as it is by now.
    first.subject["guest"] = "db";
    REQUIRE(journal.save(first).has_value());
    CHECK(field(journal.find("key").operation.subject, "guest") == "db");
}

TEST_CASE_TEMPLATE("a look sees what is saved", kind, real_journal, fake_journal) {
    bench<kind> journal;
    const auto look = journal.store().open_to_read().value();
    CHECK(journal.wait(look->load_open()).value().empty());
    CHECK(journal.wait(look->find_request("key")).value().operation.number == 0);
    auto record = sample();
    REQUIRE(journal.save(record).has_value());
    CHECK(journal.wait(look->load_open()).value().size() == 1);
}
