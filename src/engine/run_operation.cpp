#include "engine/run_operation.hpp"

#include <chrono>
#include <cstdlib>
#include <utility>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::microseconds;

/// Nothing is done with a record on its word alone: it was checked as a whole before it goes on
/// (`check_record`), and so was the one that a way home is planned from.
const step_kind_handler& kind_of(const step_record& step) {
    const auto* kind = find_step_kind(step.planned.kind);
    if (!kind) std::abort();
    return *kind;
}

/// What cannot be written down so that it is believed later is not touched.
error not_recordable(const step_record& step, const error& why) {
    return {error_code::host_io,
            step.planned.kind,
            "what is there now cannot be recorded: " + why.where + ": " + why.text,
            {}};
}

awaitable<void> observe(operation_machine& machine, step_context& context, std::size_t i) {
    auto& step = machine.record().steps[i];
    // What the guest has let go of is on its way home: that takes no time that is worth a stop.
    const bool goes_home = machine.record().failure_policy == on_failure::hold && i > 0;
    if (context.stop.stop_requested() && !goes_home) {
        machine.observed(context.why_stopped(step.planned.kind));
        co_return;
    }
    const auto& kind = kind_of(step);
    auto prior = co_await kind.observe(context, step.planned.arguments);
    if (prior.has_value()) {
        const auto fine = kind.check(step.planned.arguments, *prior);
        if (fine.has_error()) prior = not_recordable(step, fine.error());
    }
    machine.observed(std::move(prior));
}

awaitable<void> apply(operation_machine& machine, step_context& context, std::size_t i) {
    auto& step = machine.record().steps[i];
    const auto begin = context.time.now();
    auto found = co_await kind_of(step).apply(context, step.planned.arguments, step.prior_state);
    step.duration = std::chrono::duration_cast<microseconds>(context.time.now() - begin);
    if (found.has_error()) {
        machine.applied(found.error());
        co_return;
    }
    step.findings = std::move(*found);
    machine.applied(result<void>{});
}

awaitable<void> probe(operation_machine& machine, step_context& context, std::size_t i) {
    const auto& step = machine.record().steps[i];
    const auto& kind = kind_of(step);
    machine.probed(co_await kind.probe(context, step.planned.arguments, step.prior_state));
}

awaitable<void> revert(operation_machine& machine, step_context& context, company& others,
                       std::size_t i) {
    const auto& step = machine.record().steps[i];
    const auto& kind = kind_of(step);
    if (kind.sharers() != shared_by::nobody) {
        const auto taken_over = co_await others.take_over(machine.record(), i);
        if (taken_over.has_error()) machine.cannot_tell(taken_over.error());
        if (taken_over.has_value() && *taken_over) machine.handed_over();
        if (taken_over.has_error() || *taken_over) co_return;
    }
    // The stop that was asked for is what is being done here: it does not cut the undo short.
    auto stop = std::exchange(context.stop, {});
    // What is taken back is what was there in our turn.
    auto let_others = std::exchange(context.let_others, nullptr);
    auto undone = co_await kind.revert(context, step.planned.arguments, step.prior_state);
    context.stop = std::move(stop);
    context.let_others = std::move(let_others);
    machine.reverted(undone);
}

awaitable<void> save(operation_machine& machine, records& book, clock& time,
                     std::vector<operation_record>& along) {
    auto& record = machine.record();
    record.ended_at = time.date();
    std::vector<operation_record*> all{&record};
    if (record.state == operation_state::closed && record.ended == outcome::done)
        for (auto& each : along)
            all.push_back(&each);
    machine.saved(co_await book.save_together(std::move(all)));
}

} // namespace

awaitable<void> run_operation(operation_machine& machine, records& book, step_context& context,
                              const run_observer& observer, company& others,
                              std::vector<operation_record>& along) {
    for (;;) {
        const auto now = machine.next();
        const bool visible = now.kind == action_kind::apply || now.kind == action_kind::revert;
        if (visible && observer) observer(machine.record(), now);
        switch (now.kind) {
        case action_kind::observe:
            co_await observe(machine, context, now.step);
            break;
        case action_kind::save:
            co_await save(machine, book, context.time, along);
            break;
        case action_kind::apply:
            co_await apply(machine, context, now.step);
            break;
        case action_kind::probe:
            co_await probe(machine, context, now.step);
            break;
        case action_kind::revert:
            co_await revert(machine, context, others, now.step);
            break;
        case action_kind::revise:
            machine.revised(co_await others.plan_home(machine.record()));
            break;
        case action_kind::finish:
            co_return;
        }
    }
}

} // namespace vmplug
