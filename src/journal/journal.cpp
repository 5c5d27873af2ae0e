#include "journal/journal.hpp"

#include "journal/record_text.hpp"
#include "journal/sqlite.hpp"
#include "system/private_directory.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmplug {
namespace {

constexpr int schema_version = 1;
constexpr int busy_timeout_ms = 5000;

/// Closed operations that are kept, beside those whose device is still away. Looked at each time
/// that so many have come.
constexpr std::int64_t closed_max = 2'000;
constexpr std::int64_t forget_each = 100;

constexpr const char* schema = R"sql(
create table operation (
    number       integer primary key autoincrement,
    kind         text not null,
    state        text not null,
    outcome      text not null,
    releases  integer not null,
    body         text not null
);
create index operation_state on operation (state);
create index operation_releases on operation (releases) where releases <> 0;
create table request (
    id           text primary key,
    operation    integer not null references operation (number),
    asked        text not null
) without rowid;
create table step (
    operation    integer not null references operation (number),
    position     integer not null,
    body         text not null,
    primary key (operation, position)
) without rowid;
pragma user_version = 1;
)sql";

/// Nobody else may have made the files that are believed here.
result<void> check_files(const private_directory& directory) {
    for (const char* name :
         {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal"})
        if (auto fine = directory.check_file(name); fine.has_error()) return fine;
    return {};
}

result<std::int64_t> read_schema_version(sqlite3* database) {
    sqlite::statement version(database, "pragma user_version");
    if (auto row = version.step(); row.has_error()) return row.error();
    const auto found = version.integer(0);
    if (found <= schema_version) return found;
    return error{error_code::journal_corrupt, sqlite3_db_filename(database, "main"),
                 "the journal was written by a newer vmplug (schema " + std::to_string(found) + ")",
                 "use that version of vmplug"};
}

/// SQLite would make it with the mode that the process's umask leaves, and gives what it makes
/// beside it the same mode. It is not opened here: closing it would give back SQLite's locks on it.
result<void> make_file(const private_directory& directory) {
    constexpr const char* name = "journal.db";
    if (::mknodat(directory.descriptor(), name, S_IFREG | S_IRUSR | S_IWUSR, 0) == 0) return {};
    const int reason = errno;
    // A file system that cannot be written says that before it says that the file is there.
    if (reason == EEXIST || ::faccessat(directory.descriptor(), name, F_OK, 0) == 0) return {};
    return error{error_code::journal_unavailable,
                 directory.path() + "/" + name,
                 "unable to open database file: " + std::string(std::strerror(reason)),
                 {}};
}

/// WAL with FULL: one fsync for each commit, and a torn end is recognised by its checksum.
///
/// When several processes open a new file at once, SQLite answers the change to WAL with "locked"
/// without asking its busy timeout, since two of them could wait for each other.
result<void> choose_wal(sqlite3* database) {
    constexpr int pause_ms = 5;
    for (int waited_ms = 0;; waited_ms += pause_ms) {
        auto chosen = sqlite::run(database, "pragma journal_mode = wal; pragma synchronous = full");
        const bool locked = chosen.has_error() && sqlite3_errcode(database) == SQLITE_BUSY;
        if (!locked || waited_ms >= busy_timeout_ms) return chosen;
        sqlite3_sleep(pause_ms);
    }
}

/// Makes the tables of a new file. Another process may be doing the same: the lock decides.
result<void> prepare_schema(sqlite3* database) {
    auto found = read_schema_version(database);
    if (found.has_error()) return found.error();
    if (*found == schema_version) return {};
    sqlite::transaction transaction(database);
    if (auto begun = transaction.begin(); begun.has_error()) return begun;
    found = read_schema_version(database);
    if (found.has_error()) return found.error();
    if (*found == schema_version) return {};
    if (auto made = sqlite::run(database, schema); made.has_error()) return made;
    return transaction.commit();
}

result<void> write_operation(sqlite3* database, operation_record& record) {
    sqlite::statement insert(database,
                             "insert into operation (number, kind, state, outcome, releases, "
                             "body) values (nullif(?, 0), ?, ?, ?, ?, ?) "
                             "on conflict (number) do update set state = excluded.state, "
                             "outcome = excluded.outcome, releases = excluded.releases, "
                             "body = excluded.body");
    insert.bind(record.number)
        .bind(std::string(kind_name(record.kind)))
        .bind(std::string(state_name(record.state)))
        .bind(std::string(record.ended ? outcome_name(*record.ended) : ""))
        .bind(record.releases)
        .bind(format_record(record));
    if (auto written = insert.step(); written.has_error()) return written.error();
    if (record.number == 0) record.number = sqlite3_last_insert_rowid(database);
    return {};
}

/// Whoever saves has to have read what is there: a record is changed under its leases alone, and
/// one that was read before them may be stale.
result<void> check_version(sqlite3* database, const operation_record& record) {
    if (record.number == 0) return {};
    sqlite::statement select(
        database,
        "select coalesce(json_extract(body, '$.version'), 0) from operation where number = ?");
    select.bind(record.number);
    const auto row = select.step();
    if (row.has_error()) return row.error();
    if (!*row || select.integer(0) == record.version) return {};
    return error{error_code::operation_conflict,
                 "operation " + std::to_string(record.number),
                 "another vmplug has changed it meanwhile",
                 {}};
}

/// The history has an end: what it knows beyond that nobody asks for. A key lives as long as the
/// operation that it stands for.
result<void> forget_old(sqlite3* database, std::int64_t latest) {
    if (latest <= closed_max || latest % forget_each != 0) return {};
    const auto old =
        " in (select number from operation where number <= " + std::to_string(latest - closed_max) +
        " and state = 'closed' and not (kind in ('attach', 'bind') and outcome = 'done' "
        "and not exists (select 1 from operation as later where later.releases = "
        "operation.number and later.releases <> 0 and later.state = 'closed' and "
        "later.outcome = 'done')));";
    const auto statements = "delete from step where operation" + old +
                            "delete from request where operation" + old +
                            "delete from operation where number" + old;
    return sqlite::run(database, statements.c_str());
}

/// A key that another operation has is a failure: it means what it meant first.
result<void> write_request(sqlite3* database, const std::string& id, const std::string& asked,
                           std::int64_t number) {
    sqlite::statement insert(database, "insert into request values (?, ?, ?)");
    insert.bind(id).bind(number).bind(asked);
    const auto written = insert.step();
    return written.has_error() ? result<void>(written.error()) : result<void>();
}

/// A plan that was revised may be shorter than it was.
result<void> forget_steps_after(sqlite3* database, const operation_record& record) {
    sqlite::statement rest(database, "delete from step where operation = ? and position >= ?");
    rest.bind(record.number).bind(static_cast<std::int64_t>(record.steps.size()));
    const auto gone = rest.step();
    return gone.has_error() ? result<void>(gone.error()) : result<void>();
}

result<void> write_steps(sqlite3* database, const operation_record& record) {
    for (std::size_t i = 0; i < record.steps.size(); ++i) {
        sqlite::statement insert(database, "insert or replace into step values (?, ?, ?)");
        insert.bind(record.number)
            .bind(static_cast<std::int64_t>(i))
            .bind(format_step(record.steps[i]));
        if (auto written = insert.step(); written.has_error()) return written.error();
    }
    return {};
}

result<std::vector<step_record>> read_steps(sqlite3* database, std::int64_t number) {
    sqlite::statement select(database,
                             "select body from step where operation = ? order by position");
    select.bind(number);
    std::vector<step_record> steps;
    for (;;) {
        auto row = select.step();
        if (row.has_error()) return row.error();
        if (!*row) return steps;
        auto step = parse_step(select.text(0));
        if (step.has_error()) return step.error();
        steps.push_back(std::move(*step));
    }
}

/// What can be said of a record that cannot be read: the others go on.
operation_record unreadable(const std::string& kind, error why) {
    operation_record record;
    record.kind = parse_operation_kind(kind).value_or(operation_kind::attach);
    record.failure = std::move(why);
    return record;
}

} // namespace

void journal::closer::operator()(sqlite3* database) const {
    sqlite3_close_v2(database);
}

journal::journal(std::unique_ptr<sqlite3, closer> database) : database_(std::move(database)) {
    if (database_) opened_ = identify(sqlite3_db_filename(database_.get(), "main"));
}
journal::journal(journal&&) noexcept = default;
journal& journal::operator=(journal&&) noexcept = default;
journal::~journal() = default;

result<void> journal::check_place(const std::string& path) {
    const auto directory = private_directory::create(path);
    if (directory.has_error()) return directory.error();
    return check_files(*directory);
}

result<journal> journal::open(const std::string& path) {
    const auto directory = private_directory::create(path);
    if (directory.has_error()) return directory.error();
    return open_in(*directory);
}

namespace {

/// A path in SQLite's form of a URI.
std::string to_uri(const std::string& path) {
    std::string uri = "file:";
    for (const char c : path) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-' || c == '_';
        char text[4];
        std::snprintf(text, sizeof text, "%%%02x",
                      static_cast<unsigned>(static_cast<unsigned char>(c)));
        uri += plain ? std::string(1, c) : std::string(text);
    }
    return uri;
}

} // namespace

/// A look needs no room on the disk, nor a disk that can be written. SQLite itself wants to write
/// to the files beside a journal in WAL; where it cannot, the journal is read as it is, provided
/// that all of it is in one file.
result<journal> journal::open_unwritten(const private_directory& directory, error why) {
    struct stat beside {};
    const auto file = directory.path() + "/journal.db";
    if (::fstatat(directory.descriptor(), "journal.db-wal", &beside, AT_SYMLINK_NOFOLLOW) == 0 &&
        beside.st_size != 0)
        return why;
    sqlite3* handle = nullptr;
    sqlite3_open_v2((to_uri(file) + "?immutable=1").c_str(), &handle,
                    SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                        SQLITE_OPEN_NOFOLLOW,
                    nullptr);
    std::unique_ptr<sqlite3, closer> database(handle);
    const auto version = read_schema_version(handle);
    if (version.has_error()) return why;
    // One that was only just made has no tables yet.
    if (*version == 0) database.reset();
    return journal(std::move(database));
}

result<journal> journal::open_in(const private_directory& directory) {
    if (auto fine = check_files(directory); fine.has_error()) return fine.error();
    if (auto made = make_file(directory); made.has_error()) return made.error();
    const auto file = directory.path() + "/journal.db";
    sqlite3* handle = nullptr;
    sqlite3_open_v2(file.c_str(), &handle,
                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
    std::unique_ptr<sqlite3, closer> database(handle);
    sqlite3_busy_timeout(handle, busy_timeout_ms);
    auto ready = choose_wal(handle);
    if (ready.has_value()) ready = prepare_schema(handle);
    if (ready.has_value()) return journal(std::move(database));
    auto failure = ready.error();
    if (failure.where.empty()) failure.where = file;
    return failure;
}

result<journal> journal::open_to_read(const std::string& path) {
    if (!private_directory::exists(path)) return journal(nullptr);
    const auto directory = private_directory::open(path);
    if (directory.has_error()) return directory.error();
    if (::faccessat(directory->descriptor(), "journal.db", F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno == ENOENT)
        return journal(nullptr);
    // What others could have written is not believed, whatever the disk.
    if (auto fine = check_files(*directory); fine.has_error()) return fine.error();
    auto opened = open_in(*directory);
    if (opened.has_error() && opened.error().code == error_code::journal_unavailable)
        return open_unwritten(*directory, opened.error());
    return opened;
}

namespace {

result<void> write_record(sqlite3* database, operation_record& record) {
    const bool is_new = record.number == 0;
    auto saved = check_version(database, record);
    ++record.version;
    if (saved.has_value()) saved = write_operation(database, record);
    if (saved.has_value()) saved = write_steps(database, record);
    if (saved.has_value() && !is_new) saved = forget_steps_after(database, record);
    if (saved.has_value() && is_new && !record.request_id.empty())
        saved = write_request(database, record.request_id, record.asked, record.number);
    if (saved.has_value() && is_new) saved = forget_old(database, record.number);
    return saved;
}

/// All or none of them, in a transaction that goes on whatever becomes of them.
result<void> write_apart(sqlite3* database, const std::vector<operation_record*>& all) {
    sqlite::savepoint part(database);
    auto saved = part.begin();
    for (auto* record : all)
        if (saved.has_value()) saved = write_record(database, *record);
    return saved.has_value() ? part.keep() : saved;
}

/// What is not saved keeps the number and the version that it had.
class kept_numbers {
public:
    explicit kept_numbers(const std::vector<operation_record*>& all) {
        before_.reserve(all.size());
        for (const auto* record : all)
            before_.emplace_back(record->number, record->version);
    }
    void give_back(const std::vector<operation_record*>& all) const {
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i]->number = before_[i].first;
            all[i]->version = before_[i].second;
        }
    }

private:
    std::vector<std::pair<std::int64_t, std::int64_t>> before_;
};

/// Returns why there is nothing of the whole group.
result<void> write_group(sqlite3* database, std::vector<journal_save>& group) {
    sqlite::transaction transaction(database);
    if (auto begun = transaction.begin(); begun.has_error()) return begun;
    for (auto& each : group) {
        each.fate = write_apart(database, each.all);
        // What came next would be written outside of any transaction.
        if (!transaction.is_open()) return each.fate;
    }
    return transaction.commit();
}

} // namespace

void journal::save_each(std::vector<journal_save>& group) {
    std::vector<kept_numbers> before;
    before.reserve(group.size());
    for (const auto& each : group)
        before.emplace_back(each.all);
    const auto written = write_group(database_.get(), group);
    for (std::size_t i = 0; i < group.size(); ++i) {
        if (written.has_error() && group[i].fate.has_value()) group[i].fate = written;
        if (group[i].fate.has_error()) before[i].give_back(group[i].all);
    }
}

result<void> journal::save(const std::vector<operation_record*>& all) {
    std::vector<journal_save> alone;
    alone.push_back({all, {}});
    save_each(alone);
    return alone.front().fate;
}

journal::file_identity journal::identify(const std::string& file) {
    struct stat found {};
    if (::lstat(file.c_str(), &found) != 0) return {};
    return {found.st_dev, found.st_ino};
}

bool journal::is_in_place() const {
    return database_ && identify(sqlite3_db_filename(database_.get(), "main")) == opened_;
}

result<std::vector<operation_record>> journal::query(const char* condition, std::int64_t number,
                                                     const std::string& text) {
    std::vector<operation_record> records;
    if (!database_) return records;
    const auto sql = std::string("select number, body, kind from operation where ") + condition;
    sqlite::statement select(database_.get(), sql.c_str());
    select.bind(number).bind(text);
    for (;;) {
        auto row = select.step();
        if (row.has_error()) return row.error();
        if (!*row) return records;
        auto record = parse_record(select.text(1));
        if (record.has_error()) record = unreadable(select.text(2), record.error());
        record->number = select.integer(0);
        auto steps = read_steps(database_.get(), record->number);
        const bool damaged = steps.has_error() && steps.error().code == error_code::journal_corrupt;
        if (steps.has_error() && !damaged) return steps.error();
        if (damaged)
            record->failure = steps.error();
        else
            record->steps = std::move(*steps);
        records.push_back(std::move(*record));
    }
}

result<operation_record> journal::load(std::int64_t number) {
    auto records = query("number = ?1 and ?2 = ''", number, {});
    if (records.has_error()) return records.error();
    if (!records->empty()) return std::move(records->front());
    return error{error_code::invalid_argument,
                 std::to_string(number),
                 "the journal has no operation of that number",
                 {},
                 advice::list_operations};
}

result<std::vector<operation_record>> journal::load_open() {
    return query("?1 = 0 and state in ('applying', 'reverting') and ?2 = '' order by number", 0,
                 {});
}

result<std::vector<operation_record>> journal::load_assignments() {
    return query("?1 = 0 and ?2 = '' and kind in ('attach', 'bind') and outcome = 'done' "
                 "and not exists (select 1 from operation as later where later.releases = "
                 "operation.number and later.releases <> 0 and later.state = 'closed' and "
                 "later.outcome = 'done') order by number",
                 0, {});
}

result<std::vector<operation_record>> journal::load_latest(std::size_t count) {
    const auto most = std::numeric_limits<std::int32_t>::max();
    const auto limit =
        count < static_cast<std::size_t>(most) ? static_cast<std::int64_t>(count) : most;
    return query("?2 = '' order by number desc limit ?1", limit, {});
}

result<journal::known_request> journal::find_request(const std::string& id) {
    if (!database_ || id.empty()) return known_request{};
    sqlite::statement select(database_.get(), "select operation, asked from request where id = ?");
    select.bind(id);
    const auto row = select.step();
    if (row.has_error()) return row.error();
    if (!*row) return known_request{};
    auto operation = load(select.integer(0));
    if (operation.has_error()) return operation.error();
    return known_request{std::move(*operation), select.text(1)};
}

result<void> journal::note_request(const std::string& id, const std::string& asked,
                                   std::int64_t number) {
    return write_request(database_.get(), id, asked, number);
}

} // namespace vmplug
