#include "engine/operation_runner.hpp"

#include <vmplug/step.hpp>

namespace vmplug {

using boost::asio::awaitable;

awaitable<result<guest_link*>> operation_runner::reach_guest() {
    if (!seat_)
        co_return error{
            error_code::internal, "guest", "an operation of the host alone asks for a guest", {}};
    co_return co_await seat_->reach(options_.greeting_deadline);
}

/// The turn comes again also when a stop was asked for: what has begun has to be looked at.
awaitable<result<void>> operation_runner::let_others(const std::function<awaitable<void>()>& wait) {
    seat_->give_turn();
    co_await wait();
    // Who has it may be at the longest that anything takes.
    const call_limit patient(options_.turn_deadline + options_.add_deadline);
    co_return co_await seat_->take_turn(patient);
}

/// What goes on with an earlier operation says which: several may at once.
run_observer operation_runner::observer(const operation_record& begun) const {
    if (!options_.progress) return nullptr;
    const auto number = std::to_string(begun.number);
    const auto prefix = begun.number == 0 ? std::string() : "operation " + number + ": ";
    return [this, prefix](const operation_record& record, const action& next) {
        options_.progress(prefix + (next.kind == action_kind::revert ? "undoing " : "") +
                          std::to_string(next.step + 1) + "/" +
                          std::to_string(record.steps.size()) + " " +
                          describe_step(record.steps[next.step].planned));
    };
}

namespace {

std::string sight_name(const result<presence>& seen) {
    if (seen.has_error()) return "not known";
    switch (*seen) {
    case presence::applied:
        return "stands";
    case presence::absent:
        return "absent";
    case presence::partial:
        break;
    }
    return "half done";
}

} // namespace

step_context operation_runner::context_for(const operation_machine& machine) {
    std::function<awaitable<result<void>>(const std::function<awaitable<void>()>&)> others;
    if (seat_) others = [this](const auto& wait) { return let_others(wait); };
    return {*host_,
            at_.time,
            [this] { return reach_guest(); },
            std::move(others),
            guest_process(machine.record()),
            options_.progress,
            stop_.token(),
            [this](std::string where) { return stop_.why(std::move(where)); },
            options_.host_deadline,
            options_.guest_deadline,
            options_.add_deadline};
}

awaitable<std::vector<std::string>> operation_runner::look(operation_machine& machine) {
    auto context = context_for(machine);
    context.progress = nullptr;
    std::vector<std::string> sights(machine.record().steps.size());
    for (auto now = machine.next(); now.kind == action_kind::probe; now = machine.next()) {
        const auto& step = machine.record().steps[now.step];
        // The record was checked: its kinds are known.
        const auto* kind = find_step_kind(step.planned.kind);
        const auto seen = co_await kind->probe(context, step.planned.arguments, step.prior_state);
        sights[now.step] = sight_name(seen);
        machine.probed(seen);
    }
    co_return sights;
}

awaitable<void> operation_runner::run(operation_machine& machine, records& book, company& others,
                                      std::vector<operation_record> along) {
    auto context = context_for(machine);
    const auto watching = observer(machine.record());
    co_await run_operation(machine, book, context, watching, others, along);
}

} // namespace vmplug
