#pragma once

#include "port/clock.hpp"
#include "port/guest_link.hpp"
#include "port/host_control.hpp"
#include "step/presence.hpp"

#include <vmplug/operation.hpp>

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

namespace vmplug {

/// What the steps of one operation share.
struct step_context {
    host_control& host;
    clock& time;

    /// The guest's link, made when it is first needed. Errors: why there is none.
    std::function<boost::asio::awaitable<result<guest_link*>>()> guest;

    /// Lets other operations of this process have the guest while something is waited for; empty:
    /// the turn is kept. Errors: it did not come again.
    std::function<boost::asio::awaitable<result<void>>(
        const std::function<boost::asio::awaitable<void>()>&)>
        let_others;

    /// The QEMU that the operation began with; pid 0 when it is not known.
    process_identity qemu;

    /// Told what a step waits for; may be empty.
    std::function<void(const std::string&)> progress;

    /// The operation was asked to stop: waits end early, and no step begins.
    std::stop_token stop;
    /// Why it was, for the step whose failure it is.
    std::function<error(std::string where)> why_stopped;

    std::chrono::milliseconds host_deadline;  ///< of one write to the kernel
    std::chrono::milliseconds guest_deadline; ///< of one command to QEMU
    std::chrono::milliseconds add_deadline;   ///< of device_add
};

/// Who else may need what a step did. Then it is not undone, but taken over: by an operation whose
/// device is in the same IOMMU group, or with the same guest.
enum class shared_by { nobody, group, guest };

/// One kind of step, as the engine, the plan and the journal have it: with the fields of a record.
/// A kind itself has them as values (`typed_kind`).
///
/// All its acts are idempotent, so a crash between them does no harm, and `probe` reads the world
/// anew each time. Of fields that are not what they have to be, an act fails with
/// `journal_corrupt`, and what is pure returns nothing.
class step_kind_handler {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    virtual ~step_kind_handler() = default;

    virtual std::string_view name() const = 0;
    virtual shared_by sharers() const = 0;

    /// One line for a person: what will be done.
    virtual std::string describe(const fields& arguments) const = 0;

    /// Parses every field into its type, and holds nothing back: what fails here is never used.
    /// `prior` is empty before the step was begun. Errors: `journal_corrupt`.
    virtual result<void> check(const fields& arguments, const fields& prior) const = 0;

    /// The step that takes back what was done, for an operation that was a success; nothing: there
    /// is nothing to take back.
    virtual std::optional<step> inverse(const fields& arguments, const fields& prior) const = 0;

    /// Of two steps that did the same: whether the first of these prior states was there before the
    /// other one.
    virtual bool is_earlier(const fields& given, const fields& own) const = 0;

    /// Commands for a shell that undo it by hand, for an operation that is stuck. They lead to the
    /// state before from whatever state there is, and do nothing when they are repeated. `subject`
    /// is the operation's.
    virtual std::vector<std::string> manual_undo(const fields& arguments, const fields& prior,
                                                 const fields& subject) const = 0;

    /// The same for a step of a way home: they do what it would have done.
    virtual std::vector<std::string> manual_finish(const fields& arguments,
                                                   const fields& subject) const = 0;

    /// Reads what the step will change.
    virtual task<fields> observe(step_context& context, const fields& arguments) const = 0;

    /// Does it and verifies it; returns what it found.
    virtual task<fields> apply(step_context& context, const fields& arguments,
                               const fields& prior) const = 0;

    /// Whether the step stands, that is, whether there is anything to revert. Errors: why that
    /// cannot be found out now.
    virtual task<presence> probe(step_context& context, const fields& arguments,
                                 const fields& prior) const = 0;
    virtual task<void> revert(step_context& context, const fields& arguments,
                              const fields& prior) const = 0;
};

/// All kinds that there are; the fault matrix walks this list.
std::span<const step_kind_handler* const> step_kinds();

/// Whether all that a record says is what it has to be: its subject, and the fields of each step.
/// Nothing is done for a record that fails here, be it an act, a connection or a command for a
/// person to run. Errors: `journal_corrupt`, also for a kind of step that is not known.
result<void> check_record(const operation_record& record);

/// Nullptr for a name that no kind has: a journal of another version.
const step_kind_handler* find_step_kind(std::string_view name);

/// Who else may need what that step did; nobody for a kind that is not known.
shared_by sharers_of(const step& planned);

} // namespace vmplug
