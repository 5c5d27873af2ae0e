#pragma once

#include <vmplug/error.hpp>

#include <cstdint>
#include <string>
#include <utility>

#include <sqlite3.h>

namespace vmplug::sqlite {

/// The latest failure of `database` as an error of the journal.
error failure_of(sqlite3* database);

/// Runs statements that return no rows.
result<void> run(sqlite3* database, const char* statements);

/// One prepared statement. A preparation that failed is reported by the first `step`.
class statement {
public:
    statement(sqlite3* database, const char* text);
    statement(const statement&) = delete;
    statement& operator=(const statement&) = delete;
    ~statement() { sqlite3_finalize(handle_); }

    /// Binds the next parameter.
    statement& bind(std::int64_t value);
    statement& bind(const std::string& value);

    /// True when there is a row to read, false at the end.
    result<bool> step();

    std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
    std::string text(int column) const;

private:
    sqlite3* database_;
    sqlite3_stmt* handle_ = nullptr;
    int bound_ = 0;
};

/// Takes the write lock at once, so that two writers wait for each other instead of failing at
/// commit. Rolls back when it is left without `commit`.
class transaction {
public:
    explicit transaction(sqlite3* database) : database_(database) {}
    transaction(const transaction&) = delete;
    transaction& operator=(const transaction&) = delete;
    ~transaction();

    result<void> begin();
    result<void> commit();

    /// Some failures (no room, no memory) make SQLite roll all of it back by itself.
    bool is_open() const { return open_ && sqlite3_get_autocommit(database_) == 0; }

private:
    sqlite3* database_;
    bool open_ = false;
};

/// A part of a transaction, taken back alone when it is left without `keep`.
class savepoint {
public:
    explicit savepoint(sqlite3* database) : database_(database) {}
    savepoint(const savepoint&) = delete;
    savepoint& operator=(const savepoint&) = delete;
    ~savepoint();

    result<void> begin();
    result<void> keep();

private:
    sqlite3* database_;
    bool open_ = false;
};

} // namespace vmplug::sqlite
