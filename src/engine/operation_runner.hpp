#pragma once

#include "engine/held_leases.hpp"
#include "engine/operation_stop.hpp"
#include "engine/run_operation.hpp"
#include "engine/world.hpp"

#include <vmplug/operation_options.hpp>

namespace vmplug {

/// Runs one operation's machine against the world.
class operation_runner {
public:
    /// `held`: what is under way keeps these leases.
    /// They have to outlive it.
    operation_runner(world& given, const operation_options& options, const operation_stop& stop,
                     const held_leases& held)
        : at_(given), options_(options), stop_(stop), seat_(held.seat()),
          host_(given.host.holding(held.all())) {}

    /// `others` and `along`: see `run_operation`.
    boost::asio::awaitable<void> run(operation_machine& machine, records& book, company& others,
                                     std::vector<operation_record> along);

    /// Lets the machine look at the world as far as it can without an act. Returns what each step
    /// was found as: "stands", "absent", "half done", "not known"; empty for one that was not
    /// looked at, because its record says enough.
    boost::asio::awaitable<std::vector<std::string>> look(operation_machine& machine);

private:
    boost::asio::awaitable<result<guest_link*>> reach_guest();
    boost::asio::awaitable<result<void>>
    let_others(const std::function<boost::asio::awaitable<void>()>& wait);
    step_context context_for(const operation_machine& machine);
    run_observer observer(const operation_record& begun) const;

    world& at_;
    const operation_options& options_;
    const operation_stop& stop_;
    guest_seat* seat_; ///< nullptr: the operation concerns the host alone
    std::unique_ptr<host_control> host_;
};

} // namespace vmplug
