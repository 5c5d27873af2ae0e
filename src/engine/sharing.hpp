#pragma once

#include "engine/run_operation.hpp"
#include "engine/use_case.hpp"

namespace vmplug {

/// The other operations of the same group and the same guest, as the records know them.
class use_case::sharing final : public company {
public:
    /// `begun`: the operation as it begins, or goes on.
    sharing(const use_case& operation, records& book, const operation_record& begun)
        : operation_(operation), book_(book), is_new_(begun.number == 0) {}

    task<std::vector<step>> plan_home(const operation_record& detach) override;
    task<bool> take_over(const operation_record& attach, std::size_t step) override;

private:
    /// Errors: as of `records::save`; what was saved before stays, and does no harm.
    task<void> save(std::vector<operation_record> heirs);

    const use_case& operation_;
    records& book_;
    bool is_new_;
};

} // namespace vmplug
