#pragma once

#include "engine/operation_machine.hpp"
#include "port/records.hpp"
#include "step/step_kind.hpp"

namespace vmplug {

/// Called before each step is applied or reverted, for progress on a terminal; may be empty.
using run_observer = std::function<void(const operation_record&, const action&)>;

/// What an operation shares with others. Both save what others take over, before they return.
/// Errors: what prevents it; nothing was done then.
class company {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    virtual ~company() = default;

    /// The way home of a detach, as the world is now.
    virtual task<std::vector<step>> plan_home(const operation_record& detach) = 0;

    /// Whether others need what that step of an attach that is undone has done, and have taken it
    /// over.
    virtual task<bool> take_over(const operation_record& attach, std::size_t step) = 0;
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
                                           company& others, std::vector<operation_record>& along);

} // namespace vmplug
