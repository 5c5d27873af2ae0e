#pragma once

#include "journal/journal_thread.hpp"
#include "port/records.hpp"

namespace vmplug {

/// The records that a journal in a state directory keeps.
///
/// What operations ask runs on a thread, which begins with the first call and ends with the store:
/// a disk, or another process that has the journal, is waited for there.
class journal_store final : public record_store {
public:
    /// Where nothing else goes on meanwhile, a look may wait for the disk, and needs no thread.
    enum class looks { on_the_thread, at_once };

    explicit journal_store(std::string directory, looks where = looks::on_the_thread)
        : directory_(std::move(directory)), looks_(where),
          thread_(std::make_shared<journal_thread>(directory_)) {}

    /// Errors: `journal_unavailable` for a place that cannot be believed; what SQLite finds, the
    /// first call has.
    result<std::shared_ptr<records>> open() override;
    result<std::shared_ptr<records>> open_to_read() override;

private:
    std::string directory_;
    looks looks_;
    std::shared_ptr<journal_thread> thread_;
};

} // namespace vmplug
