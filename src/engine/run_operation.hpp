#pragma once

#include "engine/operation_machine.hpp"
#include "port/records.hpp"
#include "step/step_kind.hpp"

namespace vmplug {

/// Called before each step is applied or reverted, for progress on a terminal.
struct run_observer {
    std::function<void(const operation_record&, const action&)> before;
};

/// Obeys the machine until it has finished; its record then tells how it ended.
///
/// A stop that is requested before a step begins counts as that step's failure, so what was done is
/// undone. Cancelling the coroutine itself is not supported: it would leave a step half done.
///
/// `along` is saved together with the operation's end, if it ends as done: what the end brings
/// about.
boost::asio::awaitable<void> run_operation(operation_machine& machine, records& book,
                                           step_context& context, const run_observer& observer,
                                           std::vector<operation_record>& along);

} // namespace vmplug
