#include "step/step_kind.hpp"

#include <vmplug/step.hpp>

namespace vmplug {

std::string describe_step(const step& planned) {
    const auto* kind = find_step_kind(planned.kind);
    return kind ? kind->describe(planned.arguments) : planned.kind;
}

namespace {

/// What is left of a way home, in its order.
std::vector<std::string> manual_finish(const operation_record& record) {
    std::vector<std::string> commands;
    for (const auto& step : record.steps)
        for (auto& command : find_step_kind(step.planned.kind)
                                 ->manual_finish(step.planned.arguments, record.subject))
            commands.push_back(std::move(command));
    return commands;
}

} // namespace

std::vector<std::string> manual_undo(const operation_record& record) {
    std::vector<std::string> commands;
    // What cannot be believed must not be run by a person either.
    if (check_record(record).has_error()) return commands;
    // An operation that keeps what it did takes a device home: the state before is its end.
    if (record.failure_policy == on_failure::hold) return manual_finish(record);
    for (auto step = record.steps.rbegin(); step != record.steps.rend(); ++step) {
        if (!step->may_stand()) continue;
        for (auto& command :
             find_step_kind(step->planned.kind)
                 ->manual_undo(step->planned.arguments, step->prior_state, record.subject))
            commands.push_back(std::move(command));
    }
    return commands;
}

} // namespace vmplug
