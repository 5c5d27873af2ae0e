#pragma once

#include "journal/journal.hpp"
#include "port/records.hpp"

namespace vmplug {

/// The records that a journal in a state directory keeps.
class journal_store final : public record_store {
public:
    explicit journal_store(std::string directory) : directory_(std::move(directory)) {}

    result<std::shared_ptr<records>> open() override;
    result<std::shared_ptr<records>> open_to_read() override;

private:
    std::string directory_;
};

} // namespace vmplug
