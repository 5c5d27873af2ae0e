#include "engine/operation_machine.hpp"

#include "step/step_kind.hpp"

#include <algorithm>
#include <utility>

namespace vmplug {
namespace {

/// The answer was lost on the way: the act may have happened.
bool is_open_question(const error& failure) {
    return failure.code == error_code::timed_out || failure.code == error_code::connection_lost ||
           failure.code == error_code::monitor_silent;
}

outcome open_verdict(const error& failure) {
    // Of an attach that is undone: a detach that is refused leaves nothing open.
    if (failure.code == error_code::unplug_pending || failure.code == error_code::unplug_refused)
        return outcome::unplug_pending;
    if (is_open_question(failure)) return outcome::unknown;
    return outcome::stuck;
}

bool hangs(const error& failure) {
    return failure.code == error_code::host_stuck;
}

} // namespace

operation_machine::operation_machine(operation_record record) : record_(std::move(record)) {
    record_.state = operation_state::applying;
    if (record_.steps.empty())
        close(outcome::done);
    else
        next_ = {action_kind::observe, 0};
}

operation_machine operation_machine::resume(operation_record record) {
    operation_machine machine{operation_record{}};
    machine.record_ = std::move(record);
    machine.record_.ended.reset();
    machine.resuming_ = true;
    machine.touched_ = true;
    machine.settle_begun_steps();
    return machine;
}

/// Nothing is decided before every begun step has been looked at.
void operation_machine::settle_begun_steps() {
    for (std::size_t i = 0; i < record_.steps.size(); ++i)
        if (record_.steps[i].state == step_state::begun) {
            position_ = i;
            next_ = {action_kind::probe, i};
            return;
        }
    choose_direction();
}

void operation_machine::choose_direction() {
    resuming_ = false;
    std::size_t standing = 0;
    while (standing < record_.steps.size() && record_.steps[standing].state == step_state::applied)
        ++standing;
    const bool forward = record_.state == operation_state::applying &&
                         static_cast<int>(standing) > record_.forward_from;
    if (!forward) {
        record_.state = operation_state::reverting;
        revert_from(record_.steps.size());
        return;
    }
    position_ = standing;
    go_on();
}

/// With the step at `position_`, none of which is begun.
void operation_machine::go_on() {
    const bool home_is_next = record_.kind == operation_kind::detach && position_ > 0 && !revised_;
    if (home_is_next)
        next_ = {action_kind::revise, position_};
    else if (position_ == record_.steps.size())
        close(outcome::done);
    else
        next_ = {action_kind::observe, position_};
}

void operation_machine::revised(const result<std::vector<step>>& home) {
    if (home.has_error()) return cannot_tell(home.error());
    revised_ = true;
    auto& steps = record_.steps;
    // What is half done is done with; a limit alone may have come to be needed since.
    auto rest = steps.begin() + static_cast<std::ptrdiff_t>(position_);
    while (rest != steps.end() && rest->state != step_state::planned &&
           sharers_of(rest->planned) != shared_by::guest)
        ++rest;
    steps.erase(rest, steps.end());
    for (const auto& each : *home) {
        const auto is_the_same = [&](const step_record& other) {
            return other.planned.kind == each.kind && device_of(other.planned) == device_of(each);
        };
        if (std::ranges::none_of(steps, is_the_same)) steps.emplace_back().planned = each;
    }
    go_on();
}

void operation_machine::observed(result<fields> prior) {
    if (prior.has_error()) return begin_reverting(prior.error());
    // A step that is begun again keeps its first prior state: the second reading may show our own
    // half-done work.
    begins_now_ = current().state == step_state::planned;
    if (begins_now_) current().prior_state = std::move(*prior);
    current().state = step_state::begun;
    save_then({action_kind::apply, position_});
}

void operation_machine::saved(const result<void>& saving) {
    // Somebody else goes on with it, or has ended it: whatever is done now is theirs to do.
    if (saving.has_error() && saving.error().code == error_code::operation_conflict) {
        record_.ended = outcome::unknown;
        record_.failure = saving.error();
        next_ = {action_kind::finish};
        return;
    }
    const bool begins_a_step = after_save_.kind == action_kind::apply;
    if (saving.has_error() && begins_a_step) {
        // Nothing is done that is not on record; what an earlier process began may stand.
        if (begins_now_) current().state = step_state::planned;
        // What was asked for stands, and only the rest cannot be put on record.
        if (static_cast<int>(position_) > record_.forward_from && position_ > 0)
            return leave_open(outcome::unknown, saving.error());
        return begin_reverting(saving.error());
    }
    // Nothing is called done that is not on record as done: `recover` settles it from what is.
    if (saving.has_error() && record_.ended == outcome::done) {
        record_.state = operation_state::applying;
        record_.ended = outcome::unknown;
    }
    // Going back needs no new record: the prior states are durable already, and the next `recover`
    // finds by probing what has been undone.
    if (saving.has_error() && !record_.failure) record_.failure = saving.error();
    next_ = after_save_;
}

void operation_machine::applied(const result<void>& done) {
    touched_ = true;
    if (done.has_value()) return step_done();
    if (done.error().code == error_code::unplug_pending)
        return leave_open(outcome::unplug_pending, done.error());
    step_failure_ = done.error();
    next_ = {action_kind::probe, position_};
}

void operation_machine::step_done() {
    current().state = step_state::applied;
    step_failure_.reset();
    ++position_;
    go_on();
}

/// Nothing can be seen: a kernel that hangs in the write, or in the reading, is known to be the
/// reason.
void operation_machine::probed_blindly(const error& why, const error& blindness) {
    leave_open(hangs(why) || hangs(blindness) ? outcome::stuck : outcome::unknown, why);
}

void operation_machine::probed(const result<presence>& seen) {
    if (resuming_) return probed_at_resume(seen);
    const error why = step_failure_.value_or(error{
        error_code::internal, current().planned.kind, "it was undone, but it still stands", {}});
    if (seen.has_error()) return probed_blindly(why, seen.error());
    if (record_.state == operation_state::reverting) {
        return *seen == presence::absent ? step_absent() : leave_open(open_verdict(why), why);
    }
    if (*seen == presence::applied && is_open_question(why)) return step_done();
    // The write is still under way: what is undone now, it may do again a minute later.
    if (hangs(why)) return leave_open(outcome::stuck, why);
    if (*seen == presence::absent) current().state = step_state::reverted;
    begin_reverting(why);
}

void operation_machine::probed_at_resume(const result<presence>& seen) {
    if (seen.has_error()) return probed_blindly(seen.error(), seen.error());
    switch (*seen) {
    case presence::applied:
        current().state = step_state::applied;
        break;
    case presence::absent:
        current().state =
            record_.state == operation_state::applying ? step_state::planned : step_state::reverted;
        break;
    // It stays begun: going forward repeats it, going back reverts it.
    case presence::partial:
        return choose_direction();
    }
    settle_begun_steps();
}

void operation_machine::begin_reverting(error why) {
    const bool nothing_stands = [&] {
        for (const auto& each : record_.steps)
            if (each.may_stand()) return false;
        return true;
    }();
    if (record_.failure_policy == on_failure::hold && !nothing_stands) {
        const auto verdict = open_verdict(why);
        return leave_open(verdict, std::move(why));
    }
    record_.failure = std::move(why);
    record_.state = operation_state::reverting;
    revert_from(record_.steps.size());
}

/// Finds the last of the first `count` steps that stands and has it reverted.
void operation_machine::revert_from(std::size_t count) {
    while (count > 0) {
        if (record_.steps[count - 1].may_stand()) {
            position_ = count - 1;
            save_then({action_kind::revert, position_});
            return;
        }
        --count;
    }
    close(touched_ ? outcome::rolled_back : outcome::refused);
}

void operation_machine::reverted(const result<void>& undone) {
    step_failure_ = undone.has_error() ? std::optional(undone.error()) : std::nullopt;
    next_ = {action_kind::probe, position_};
}

void operation_machine::handed_over() {
    current().findings["told"] = "it stays: another device needs it, and takes it home";
    step_absent();
}

void operation_machine::step_absent() {
    current().state = step_state::reverted;
    step_failure_.reset();
    revert_from(position_);
}

void operation_machine::leave_open(outcome verdict, error why) {
    // What could not be read is another record: this one stays believed.
    if (why.code == error_code::journal_corrupt) why.code = error_code::journal_unavailable;
    record_.ended = verdict;
    record_.failure = std::move(why);
    save_then({action_kind::finish});
}

void operation_machine::close(outcome verdict) {
    record_.state = operation_state::closed;
    record_.ended = verdict;
    if (verdict == outcome::done) record_.failure.reset();
    save_then({action_kind::finish});
}

void operation_machine::save_then(action following) {
    after_save_ = following;
    next_ = {action_kind::save, position_};
}

} // namespace vmplug
