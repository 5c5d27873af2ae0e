#pragma once

#include "port/records.hpp"

#include <memory>
#include <string>
#include <vector>

struct sqlite3;

namespace vmplug {

class private_directory;

/// What is saved together, all or none, and how that went.
struct journal_save {
    std::vector<operation_record*> all;
    result<void> fate;
};

/// The durable record of all operations: one SQLite file in the state directory.
///
/// Each `save` is one transaction and is on the disk when it returns (synchronous=FULL). Several
/// processes may use one journal: writers wait for each other, bounded.
///
/// Errors: `journal_unavailable` (cannot be opened or written, or somebody else could have written
/// it: the text has the reason),
/// `journal_corrupt` (not a database, a damaged page, a schema of a newer vmplug). After a failed
/// `save` the file is as it was before it. `operation_conflict`: another has saved that record
/// since it was loaded. A record that cannot be read is returned with that as its `failure`, so
/// that one does not stand in the way of the others.
///
/// The latest 2,000 closed operations are kept, those whose device is still away without an end. A
/// request's key lives as long as its operation.
class journal {
public:
    /// Opens or creates DIRECTORY/journal.db; creates DIRECTORY (mode 0700) when it is missing.
    static result<journal> open(const std::string& directory);

    /// Makes the directory where it is missing, and says whether what is in it can be believed.
    /// Opens nothing.
    static result<void> check_place(const std::string& directory);

    /// Opens an existing journal for reading alone, also where nothing can be written; an absent
    /// one reads as empty.
    static result<journal> open_to_read(const std::string& directory);

    journal(journal&&) noexcept;
    journal& operator=(journal&&) noexcept;
    ~journal();

    /// Inserts a record whose number is 0 and gives it its number, or replaces the one it has.
    result<void> save(operation_record& record) { return save({&record}); }

    /// The same for several, in one transaction.
    result<void> save(const std::vector<operation_record*>& all);

    /// Several saves with one commit. Each has its own fate, but where none can be written.
    void save_each(std::vector<journal_save>& group);

    /// Whether the file that was opened is the one that is in the directory now.
    bool is_in_place() const;

    result<operation_record> load(std::int64_t number);
    /// All operations that are not closed, oldest first.
    result<std::vector<operation_record>> load_open();
    /// Attach and bind operations that ended as done and whose device was not taken back yet: no
    /// closed operation `releases` them.
    result<std::vector<operation_record>> load_assignments();
    /// The latest `count` operations, newest first.
    result<std::vector<operation_record>> load_latest(std::size_t count);
    using known_request = records::known_request;
    result<known_request> find_request(const std::string& id);

    /// Gives an operation a further key: of a caller who went on with it.
    result<void> note_request(const std::string& id, const std::string& asked, std::int64_t number);

private:
    struct closer {
        void operator()(sqlite3* database) const;
    };
    /// Which file it is.
    struct file_identity {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        bool operator==(const file_identity&) const = default;
    };
    explicit journal(std::unique_ptr<sqlite3, closer> database);
    static file_identity identify(const std::string& file);

    static result<journal> open_in(const private_directory& directory);
    static result<journal> open_unwritten(const private_directory& directory, error why);

    result<std::vector<operation_record>> query(const char* condition, std::int64_t number,
                                                const std::string& text);

    std::unique_ptr<sqlite3, closer> database_; ///< null: an absent journal, opened to read
    file_identity opened_;
};

} // namespace vmplug
