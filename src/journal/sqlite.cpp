#include "journal/sqlite.hpp"

#include <cstring>

namespace vmplug::sqlite {

error failure_of(sqlite3* database) {
    const int code = sqlite3_errcode(database);
    const char* file = sqlite3_db_filename(database, "main");
    const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    std::string text = sqlite3_errmsg(database);
    if (code == SQLITE_FULL) text += " (no space left on the device)";
    const int reason = sqlite3_system_errno(database);
    const bool of_the_file = code == SQLITE_IOERR || code == SQLITE_CANTOPEN;
    if (of_the_file && reason != 0) text += std::string(": ") + std::strerror(reason);
    return error{damaged ? error_code::journal_corrupt : error_code::journal_unavailable,
                 file ? file : "",
                 std::move(text),
                 {}};
}

result<void> run(sqlite3* database, const char* statements) {
    if (sqlite3_exec(database, statements, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
    return failure_of(database);
}

statement::statement(sqlite3* database, const char* text) : database_(database) {
    sqlite3_prepare_v2(database, text, -1, &handle_, nullptr);
}

statement& statement::bind(std::int64_t value) {
    if (handle_) sqlite3_bind_int64(handle_, ++bound_, value);
    return *this;
}

statement& statement::bind(const std::string& value) {
    if (handle_)
        sqlite3_bind_text64(handle_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8);
    return *this;
}

result<bool> statement::step() {
    if (!handle_) return failure_of(database_);
    const int code = sqlite3_step(handle_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return failure_of(database_);
}

std::string statement::text(int column) const {
    const auto* bytes = sqlite3_column_text(handle_, column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_, column));
    return bytes ? std::string(static_cast<const char*>(static_cast<const void*>(bytes)), size)
                 : std::string();
}

transaction::~transaction() {
    if (is_open()) sqlite3_exec(database_, "rollback", nullptr, nullptr, nullptr);
}

result<void> transaction::begin() {
    auto begun = run(database_, "begin immediate");
    open_ = begun.has_value();
    return begun;
}

result<void> transaction::commit() {
    auto committed = run(database_, "commit");
    if (committed.has_value()) open_ = false;
    return committed;
}

savepoint::~savepoint() {
    if (open_ && sqlite3_get_autocommit(database_) == 0)
        sqlite3_exec(database_, "rollback to part; release part", nullptr, nullptr, nullptr);
}

result<void> savepoint::begin() {
    auto begun = run(database_, "savepoint part");
    open_ = begun.has_value();
    return begun;
}

result<void> savepoint::keep() {
    auto kept = run(database_, "release part");
    if (kept.has_value()) open_ = false;
    return kept;
}

} // namespace vmplug::sqlite
