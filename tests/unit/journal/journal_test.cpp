#include "journal/journal.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmplug;

namespace {

struct temporary_directory {
    temporary_directory() {
        std::string pattern = "/tmp/vmplug-journal-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~temporary_directory() { std::filesystem::remove_all(path); }
    std::string path;
};

/// What another vmplug, or somebody with a tool, did to the file.
void run_sql(const std::string& directory, const char* statements) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open((directory + "/journal.db").c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_exec(database, statements, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
}

operation_record sample() {
    operation_record record;
    record.subject = {{"device", "0000:01:00.0"}, {"guest", "we\x1b[2Jb\xff"}};
    record.runner = {"boot", 42, 4711};
    record.forward_from = 1;
    step_record step;
    step.planned = {"set_binding", {{"device", "0000:01:00.0"}, {"driver", "vfio-pci"}}};
    step.prior_state = {{"driver", "e1000e"}, {"driver_override", ""}};
    step.state = step_state::begun;
    step.duration = std::chrono::microseconds(1234);
    record.steps.push_back(step);
    return record;
}

} // namespace

TEST_CASE("a record comes back as it was saved") {
    temporary_directory directory;
    auto record = sample();
    record.failure = error{error_code::command_failed, "device_add nic0", "GenericError: no", ""};
    record.failure->advised = advice::read_log_of_qemu;
    {
        auto journal = journal::open(directory.path + "/state").value();
        REQUIRE(journal.save(record).has_value());
        CHECK(record.number == 1);
    }
    auto journal = journal::open(directory.path + "/state").value();
    const auto found = journal.load(1).value();
    CHECK(found.steps.at(0).planned == record.steps[0].planned);
    CHECK(found.steps[0].prior_state == record.steps[0].prior_state);
    CHECK(found.steps[0].state == step_state::begun);
    CHECK(found.steps[0].duration == record.steps[0].duration);
    CHECK(found.runner == record.runner);
    CHECK(found.forward_from == 1);
    CHECK(found.failure->text == "GenericError: no");
    CHECK(found.failure->advised == advice::read_log_of_qemu);
    CHECK(journal.load_open().value().size() == 1);
    CHECK(journal.load(2).error().code == error_code::invalid_argument);
}

TEST_CASE("an assignment ends when a detach that releases it is closed as done") {
    temporary_directory directory;
    auto journal = journal::open(directory.path).value();
    auto attach = sample();
    attach.state = operation_state::closed;
    attach.ended = outcome::done;
    REQUIRE(journal.save(attach).has_value());
    CHECK(journal.load_assignments().value().size() == 1);

    auto detach = sample();
    detach.kind = operation_kind::detach;
    detach.releases = attach.number;
    detach.ended = outcome::unplug_pending;
    REQUIRE(journal.save(detach).has_value());
    CHECK(journal.load_assignments().value().size() == 1);

    detach.state = operation_state::closed;
    detach.ended = outcome::done;
    REQUIRE(journal.save(detach).has_value());
    CHECK(journal.load_assignments().value().empty());
    CHECK(journal.load_latest(1).value().at(0).number == detach.number);
}

TEST_CASE("a request's key belongs to one operation") {
    temporary_directory directory;
    auto journal = journal::open(directory.path).value();
    auto first = sample();
    first.request_id = "key";
    first.asked = "attach web 01:00.0 nic0";
    REQUIRE(journal.save(first).has_value());
    auto second = sample();
    second.request_id = "key";
    CHECK(journal.save(second).has_error());
    CHECK(second.number == 0);
    CHECK(journal.find_request("key").value().operation.number == first.number);
    CHECK(journal.find_request("key").value().asked == "attach web 01:00.0 nic0");
    CHECK(journal.find_request("other").value().operation.number == 0);
    REQUIRE(journal.note_request("other", "the same", first.number).has_value());
    CHECK(journal.find_request("other").value().operation.number == first.number);
    CHECK(journal.note_request("other", "another", first.number).has_error());
}

TEST_CASE("processes that make one new journal at the same moment all have it") {
    for (int round = 0; round < 30; ++round) {
        const temporary_directory directory;
        std::array<int, 2> gate{};
        REQUIRE(::pipe(gate.data()) == 0);
        std::array<int, 8> children{};
        for (auto& child : children)
            if (child = ::fork(); child == 0) {
                char nothing{};
                ::close(gate[1]);
                if (::read(gate[0], &nothing, 1) != 0) ::_exit(2); // until the gate opens
                ::_exit(journal::open(directory.path).has_value() ? 0 : 1);
            }
        ::close(gate[0]);
        ::close(gate[1]);
        for (const auto child : children) {
            int status = -1;
            REQUIRE(::waitpid(child, &status, 0) == child);
            CHECK(status == 0);
        }
    }
}

TEST_CASE("a damaged file and a directory that cannot be made are told apart") {
    temporary_directory directory;
    std::ofstream(directory.path + "/journal.db") << std::string(8192, 'x');
    CHECK(journal::open(directory.path).error().code == error_code::journal_corrupt);
    CHECK(journal::open("/proc/nowhere").error().code == error_code::journal_unavailable);
    CHECK(journal::open_to_read(directory.path + "/none").value().load_open().value().empty());
}

TEST_CASE("a journal that somebody else could have made is not opened") {
    const temporary_directory directory;
    const auto target = directory.path + "/target";
    const auto state = directory.path + "/state";
    std::filesystem::create_directories(state);
    std::filesystem::permissions(state, std::filesystem::perms::owner_all);
    for (const char* name : {"/journal.db", "/journal.db-wal", "/journal.db-shm"}) {
        std::filesystem::create_symlink(target, state + name);
        CHECK(journal::open(state).error().code == error_code::journal_unavailable);
        CHECK(!std::filesystem::exists(target));
        std::filesystem::remove(state + name);
    }
    std::filesystem::create_symlink(target, state + "/journal.db");
    CHECK(journal::open_to_read(state).error().code == error_code::journal_unavailable);
    std::filesystem::remove(state + "/journal.db");
    CHECK(journal::open_to_read(state).has_value());
    CHECK(std::filesystem::is_empty(state));
    CHECK(journal::open(state).has_value());
    std::filesystem::permissions(state, std::filesystem::perms::all);
    CHECK(journal::open(state).error().code == error_code::journal_unavailable);
    CHECK(journal::open_to_read(state).error().code == error_code::journal_unavailable);
}

TEST_CASE("a journal that somebody else could have made is not read either") {
    const temporary_directory directory;
    {
        auto made = journal::open(directory.path + "/state").value();
        auto record = sample();
        REQUIRE(made.save(record).has_value());
    }
    std::filesystem::permissions(directory.path + "/state/journal.db",
                                 std::filesystem::perms(0666));
    CHECK(journal::open_to_read(directory.path + "/state").error().code ==
          error_code::journal_unavailable);
}

TEST_CASE("a torn end of the journal loses the last save alone") {
    const auto directory = "/tmp/vmplug-torn-" + std::to_string(::getpid());
    const auto copy = directory + "-copy";
    std::filesystem::remove_all(directory);
    auto opened = journal::open(directory);
    REQUIRE(opened.has_value());
    operation_record record;
    record.subject["device"] = "0000:01:00.0";
    record.steps.resize(1);
    REQUIRE(opened->save(record).has_value());
    record.steps[0].state = step_state::begun;
    REQUIRE(opened->save(record).has_value());
    // As a power cut leaves it: the file as it is now, its last bytes never written.
    const auto log_size = std::filesystem::file_size(directory + "/journal.db-wal");
    for (const std::uintmax_t cut :
         {std::uintmax_t{1}, std::uintmax_t{100}, std::uintmax_t{5000}}) {
        std::filesystem::remove_all(copy);
        std::filesystem::create_directories(copy);
        for (const char* name : {"/journal.db", "/journal.db-wal"})
            std::filesystem::copy_file(directory + name, copy + name);
        std::filesystem::resize_file(copy + "/journal.db-wal", log_size - cut);
        auto torn = journal::open(copy);
        REQUIRE(torn.has_value());
        const auto open = torn->load_open();
        REQUIRE(open.has_value());
        REQUIRE(open->size() == 1);
        CHECK(open->front().steps[0].state == step_state::planned);
    }
    std::filesystem::remove_all(directory);
    std::filesystem::remove_all(copy);
}

TEST_CASE("an older state is not saved over a newer one") {
    const temporary_directory directory;
    auto mine = journal::open(directory.path).value();
    auto other = journal::open(directory.path).value();
    auto record = sample();
    REQUIRE(mine.save(record).has_value());
    auto stale = other.load(record.number).value();
    record.state = operation_state::closed;
    record.ended = outcome::done;
    REQUIRE(mine.save(record).has_value());
    stale.steps.front().planned.arguments["driver"] = "stale";
    const auto saved = other.save(stale);
    REQUIRE(saved.has_error());
    CHECK(saved.error().code == error_code::operation_conflict);
    CHECK(mine.load(record.number)->state == operation_state::closed);
    auto again = other.load(record.number).value();
    CHECK(other.save(again).has_value());
}

TEST_CASE("a journal of before is read, and saved to") {
    const temporary_directory directory;
    auto record = sample();
    {
        auto made = journal::open(directory.path).value();
        REQUIRE(made.save(record).has_value());
    }
    run_sql(directory.path, "update operation set body = json_remove(body, '$.version')");
    auto journal = journal::open(directory.path).value();
    auto found = journal.load(1).value();
    CHECK(found.version == 0);
    CHECK(journal.save(found).has_value());
    CHECK(journal.save(found).has_value());
    CHECK(journal.load(1)->version == 2);
}

TEST_CASE("one record that cannot be read does not stand in the way of the others") {
    const temporary_directory directory;
    {
        auto made = journal::open(directory.path).value();
        for (int i = 0; i < 3; ++i) {
            auto record = sample();
            REQUIRE(made.save(record).has_value());
        }
    }
    run_sql(directory.path,
            "update operation set body = json_set(body, '$.state', 'odd') where number = 1;"
            "update step set body = '{' where operation = 2");
    auto journal = journal::open(directory.path).value();
    const auto open = journal.load_open().value();
    REQUIRE(open.size() == 3);
    CHECK(open[0].failure->code == error_code::journal_corrupt);
    CHECK(open[0].number == 1);
    CHECK(open[1].failure->code == error_code::journal_corrupt);
    CHECK(open[1].steps.empty());
    CHECK_FALSE(open[2].failure.has_value());
}

TEST_CASE("the history has an end, and what is away does not") {
    const temporary_directory directory;
    auto journal = journal::open(directory.path).value();
    run_sql(directory.path, "pragma synchronous = off");
    auto away = sample();
    away.state = operation_state::closed;
    away.ended = outcome::done;
    REQUIRE(journal.save(away).has_value());
    auto open = sample();
    open.request_id = "open";
    REQUIRE(journal.save(open).has_value());
    // As a long life leaves it: attaches that were taken back.
    run_sql(
        directory.path,
        "with recursive n (i) as (select 3 union all select i + 1 from n where i < 9999) "
        "insert into operation select i, case i % 2 when 1 then 'attach' else 'detach' end, "
        "'closed', 'done', case i % 2 when 1 then 0 else i - 1 end, "
        "(select json_set(body, '$.state', 'closed', '$.outcome', 'done') from operation where "
        "number = 1) from n;"
        "insert into step select number, 0, (select body from step where operation = 1) from "
        "operation where number > 2;"
        "insert into operation select 99999, 'bind', 'closed', 'refused', 0, body from operation "
        "where number = 1; delete from operation where number = 99999");
    const auto begin = std::chrono::steady_clock::now();
    CHECK(journal.load_assignments()->size() == 2); // the last attach has no detach
    CHECK(journal.load_open()->size() == 1);
    const auto took = std::chrono::steady_clock::now() - begin;
    MESSAGE("a look at what is open and away among 10,000: "
            << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms");
    CHECK(took < std::chrono::milliseconds(500));
    auto latest = sample();
    REQUIRE(journal.save(latest).has_value());
    REQUIRE(latest.number == 100'000);
    CHECK(journal.load_latest(100'000)->size() < 2'100);
    CHECK(journal.load_assignments()->size() == 2);
    CHECK(journal.load_open()->size() == 2);
    CHECK(journal.find_request("open")->operation.number == open.number);
}
