#pragma once

#include "port/records.hpp"

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace vmplug::testing {

/// The journal's rows, as all processes share them: what is saved is on the disk.
///
/// A save is whole or not at all: SQLite writes its frames with checksums and takes nobody's lock
/// from him meanwhile, so what was torn is not read again, and what others read is synced. Of a
/// save that had not returned when its process or its machine ended, nobody knows.
struct simulated_disk {
    struct save {
        int process;
        std::function<void()> write;
    };
    std::list<save> under_way;                               ///< they have not returned
    std::function<bool()> keeps_last = [] { return false; }; ///< of those, when a process ends

    /// Of one process only the first can have come to writing.
    void settle_saves_of(int process) {
        const auto first = std::ranges::find(under_way, process, &save::process);
        if (first != under_way.end() && keeps_last()) first->write();
        std::erase_if(under_way, [process](const save& each) { return each.process == process; });
    }
    std::map<std::int64_t, operation_record> rows;
    std::map<std::string, records::known_request> keys; ///< the operation's number alone counts
    std::int64_t latest = 0;
    int room = 1'000'000; ///< for so many saves
    int loads = 0;
    int bad_load = -1; ///< the one that fails, counted as those before it

    /// Whether this one does.
    bool load_fails() { return loads++ == bad_load; }
    static error unreadable() {
        return {error_code::journal_unavailable, "journal.db", "it cannot be read now", {}};
    }

    std::vector<operation_record> find(auto condition) const {
        std::vector<operation_record> found;
        for (const auto& [number, row] : rows)
            if (condition(row)) found.push_back(row);
        return found;
    }
    std::vector<operation_record> open() const {
        return find([](const auto& row) { return row.state != operation_state::closed; });
    }
    std::vector<operation_record> assignments() const {
        return find([this](const auto& row) {
            const bool away =
                row.kind == operation_kind::attach || row.kind == operation_kind::bind;
            const auto takes_back = [&](const auto& each) {
                return each.second.releases == row.number &&
                       each.second.state == operation_state::closed &&
                       each.second.ended == outcome::done;
            };
            return away && row.state == operation_state::closed && row.ended == outcome::done &&
                   std::ranges::none_of(rows, takes_back);
        });
    }
};

/// Who has which name. The kernel takes all of a process back when it ends; children that hang have
/// negative numbers.
struct simulated_locks : std::map<std::string, int> {
    int children = 0;
    int takes = 0;
    int bad_take = -1; ///< the one that fails, counted as those before it
};

/// What is broken on purpose, to see that the invariants notice.
enum class mutation {
    none,
    order_swapped,    ///< what is saved is on the disk when the next act is done, not before
    fsync_missing,    ///< a death takes the last saves with it
    revert_lies,      ///< a device that is said to be back on its own driver is not
    lease_given_back, ///< no lease outlives the call that took it
    late_effect,      ///< a write that hangs keeps no lease
    stale_saved,      ///< what is loaded may be old, and is saved over what is new
    company_hidden,   ///< what others are at is not seen, so what they need may be taken back
};

} // namespace vmplug::testing
