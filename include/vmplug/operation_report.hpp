#pragma once

#include <vmplug/operation.hpp>
#include <vmplug/plan.hpp>

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace vmplug {

/// A check said no, or the journal could not be read: nothing was touched.
struct refused_operation {
    std::vector<error> reasons;
    plan planned;
    operation_record disbelieved; ///< the record that the first reason is about; number 0: none
    bool repeated = false;        ///< which is an earlier one of the same request id
};

/// A dry run: what would be done.
struct planned_operation {
    plan planned;
};

/// It ran until there was nothing more to do for now: `record.ended` says how, in the journal too.
struct settled_operation {
    operation_record record;
    plan planned;          ///< of one that began now
    bool repeated = false; ///< an earlier one of the same request id is reported
};

/// An operation of the journal that stays as it is: another one works on it, or the kernel, or what
/// has to be known of it cannot be read now.
struct left_operation {
    operation_record record;
    error reason;
    bool in_kernel = false; ///< its process has ended, and what it asked for is still under way
    bool repeated = false;
};

/// A dry run that found an operation of the journal unfinished: what would become of it.
struct previewed_operation {
    operation_record record;
    std::vector<std::string> seen; ///< what each step was found as; empty: not looked at
    std::string would;             ///< what would be done
    bool repeated = false;
};

/// How an operation ended, or what it would do.
struct operation_report : std::variant<refused_operation, planned_operation, settled_operation,
                                       left_operation, previewed_operation> {
    using variant::variant;

    /// Nothing for one that has not ended: planned, previewed, left (but for one that the kernel
    /// hangs in, which is `stuck`).
    std::optional<outcome> ended() const;

    /// Why it was refused, or left as it is.
    std::vector<error> refusals() const;

    /// Of the journal; number 0: it is not in it.
    const operation_record& record() const;

    bool is_repeated() const;
    operation_report repeated() &&;
};

} // namespace vmplug
