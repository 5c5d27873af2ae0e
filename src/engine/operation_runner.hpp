#pragma once

#include "engine/run_operation.hpp"
#include "engine/world.hpp"

#include <vmplug/controller.hpp>

namespace vmplug {

/// Runs one operation's machine against the world.
class operation_runner {
public:
    /// `held`: what is under way keeps these leases.
    operation_runner(world& given, const operation_options& options,
                     const std::vector<const lease*>& held)
        : at_(given), options_(options), host_(given.host.holding(held)) {}

    /// `link` is used while it is open; a lost one is made anew through `guest`. `along`: see
    /// `run_operation`.
    boost::asio::awaitable<void> run(operation_machine& machine, records& book,
                                     guest_reference guest, std::unique_ptr<guest_link> link,
                                     std::chrono::milliseconds add_deadline,
                                     std::vector<operation_record> along);

    /// Lets the machine look at the world as far as it can without an act. Returns what each step
    /// was found as: "stands", "absent", "half done", "not known"; empty for one that was not
    /// looked at, because its record says enough.
    boost::asio::awaitable<std::vector<std::string>> look(operation_machine& machine,
                                                          guest_reference guest);

private:
    boost::asio::awaitable<result<guest_link*>> reach_guest(const guest_reference& guest,
                                                            std::unique_ptr<guest_link>& link);
    /// Refers to `guest` and `link`.
    step_context context_for(const operation_machine& machine, const guest_reference& guest,
                             std::unique_ptr<guest_link>& link,
                             std::chrono::milliseconds add_deadline);
    run_observer observer() const;

    world& at_;
    const operation_options& options_;
    std::unique_ptr<host_control> host_;
};

} // namespace vmplug
