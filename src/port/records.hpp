#pragma once

#include <vmplug/operation.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <vector>

namespace vmplug {

/// The durable record of all operations.
///
/// Each `save` is whole or not at all, and durable when it has returned. Several processes may use
/// one: what one has saved the others load. A record that cannot be read comes back with the reason
/// as its `failure`, so that it does not stand in the way of the others.
///
/// Nothing waits for a disk on the caller's executor, on which each call comes back. Operations of
/// one process may ask at once: each save has its own fate. A caller may go away; its save is then
/// whole or not at all all the same. What is saved may be changed again when the save has returned.
///
/// Errors of all: `journal_unavailable` (cannot be opened or written, or somebody else could have
/// written it: the text has the reason), `journal_corrupt`. After a failed `save` the records are
/// as they were before it.
class records {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    virtual ~records() = default;

    /// Inserts a record whose number is 0 and gives it its number, or replaces the one it has.
    /// Errors: `operation_conflict`: another has saved that record since it was loaded.
    virtual task<void> save(operation_record& record) = 0;

    /// The same for several, all or none.
    virtual task<void> save_together(std::vector<operation_record*> all) = 0;

    /// Errors: `invalid_argument`: there is none of that number.
    virtual task<operation_record> load(std::int64_t number) = 0;

    /// All operations that are not closed, oldest first.
    virtual task<std::vector<operation_record>> load_open() = 0;

    /// Attach and bind operations that ended as done and whose device was not taken back yet: no
    /// closed operation `releases` them.
    virtual task<std::vector<operation_record>> load_assignments() = 0;

    /// What a caller's key stands for: the operation (number 0 when there is none) and the request
    /// in words.
    struct known_request {
        operation_record operation;
        std::string asked;
    };
    virtual task<known_request> find_request(std::string id) = 0;

    /// Gives an operation a further key: of a caller who went on with it. A key that stands for
    /// something keeps its meaning: that is `journal_unavailable`.
    virtual task<void> note_request(std::string id, std::string asked, std::int64_t number) = 0;
};

/// Where the records are.
class record_store {
public:
    virtual ~record_store() = default;

    /// For an operation, which will save: what is missing is made.
    virtual result<std::shared_ptr<records>> open() = 0;

    /// For a look: makes no file, and what is absent reads as empty.
    virtual result<std::shared_ptr<records>> open_to_read() = 0;
};

} // namespace vmplug
