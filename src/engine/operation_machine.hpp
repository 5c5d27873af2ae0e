#pragma once

#include "step/presence.hpp"

#include <vmplug/operation.hpp>

namespace vmplug {

/// What the driver of an `operation_machine` has to do next.
enum class action_kind {
    observe, ///< read the state that step `step` will change       -> observed()
    save,    ///< make `machine.record()` durable                    -> saved()
    apply,   ///< do step `step`                                     -> applied()
    probe,   ///< read whether step `step` stands                    -> probed()
    revert,  ///< undo step `step`                                   -> reverted()
    revise,  ///< plan again what is left of a way home              -> revised()
    finish,  ///< nothing more: `machine.verdict()` is the outcome
};

struct action {
    action_kind kind;
    std::size_t step = 0;

    bool operator==(const action&) const = default;
};

/// Decides the order of an operation: which step is observed, made durable, applied, probed or
/// reverted next. It knows neither the world nor what a step does; `run_operation` obeys it.
///
/// The rules:
/// - A step's prior state is durable before the step is applied (the `save` before each `apply`,
///   which also carries the result of the step before: one commit for each step).
/// - A failed step is probed, never guessed at. An answer that was lost is a success when the probe
///   finds the step applied. When the probe finds nothing out, the operation stays open and nothing
///   is undone: it is `stuck` when the kernel is what does not answer, else `unknown`.
/// - Reverting goes backwards, and each revert is verified by a probe.
/// - The way home of a detach is planned when the guest has let go, and again when it is resumed:
///   others had their turns while it was waited for.
/// - Every ending is durable before `finish`.
///
/// Lifetime: a plain value; a copy of `record()` from the journal continues where it stands.
class operation_machine {
public:
    /// Begins a new operation.
    explicit operation_machine(operation_record record);

    /// Goes on with a record that an earlier process left open: begun steps are probed first.
    static operation_machine resume(operation_record record);

    action next() const { return next_; }

    void observed(result<fields> prior);
    void saved(const result<void>& saving);
    void applied(const result<void>& done);

    /// Errors: why nothing can be found out now.
    void probed(const result<presence>& seen);
    void reverted(const result<void>& undone);

    /// What step `step` did stays, for others who have taken it over: instead of its revert.
    void handed_over();

    /// What others need of step `step`, or of a way home, cannot be found out: all is left open as
    /// it stands.
    void cannot_tell(const error& why) { leave_open(outcome::unknown, why); }

    /// `home`: all of the way, of which what is done already is left out. Errors: why it cannot be
    /// planned now.
    void revised(const result<std::vector<step>>& home);

    const operation_record& record() const { return record_; }
    operation_record& record() { return record_; }

    /// Valid at `finish`.
    outcome verdict() const { return *record_.ended; }

private:
    step_record& current() { return record_.steps[position_]; }
    void probed_at_resume(const result<presence>& seen);
    void probed_blindly(const error& why, const error& blindness);
    void step_done();
    void go_on();
    void step_absent();
    void begin_reverting(error why);
    void revert_from(std::size_t count);
    void settle_begun_steps();
    void choose_direction();
    void leave_open(outcome verdict, error why);
    void close(outcome verdict);
    void save_then(action following);

    operation_record record_;
    action next_{action_kind::finish};
    action after_save_{action_kind::finish};
    std::size_t position_ = 0;
    std::optional<error> step_failure_;
    bool resuming_ = false;
    bool revised_ = false;    ///< its way home is what it has to be now
    bool begins_now_ = false; ///< the step that is observed was never begun before
    bool touched_ = false;    ///< something was applied, so a failure is not a refusal
};

} // namespace vmplug
