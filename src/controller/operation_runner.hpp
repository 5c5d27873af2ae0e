#pragma once

#include "controller/guest_access.hpp"
#include "controller/leases.hpp"
#include "controller/run_operation.hpp"
#include "port/file_tree.hpp"

#include <vmplug/controller.hpp>

namespace vmplug {

/// Runs one operation's machine against the real host and guest.
class operation_runner {
public:
    operation_runner(const controller_options& options, const file_tree& files, journal& journal,
                     host_control& host)
        : options_(options), files_(files), journal_(journal), host_(host) {}

    /// `link` is used while it is open; a lost one is made anew through `guest`.
    boost::asio::awaitable<void> run(operation_machine& machine, guest_reference guest,
                                     std::unique_ptr<guest_link> link,
                                     std::chrono::milliseconds add_deadline);

    /// Lets the machine look at the world as far as it can without an act. Returns what each step
    /// was found as: "stands", "absent", "half done", "not known"; empty for one that was not
    /// looked at, because its record says enough.
    boost::asio::awaitable<std::vector<std::string>> look(operation_machine& machine,
                                                          guest_reference guest);

private:
    boost::asio::awaitable<result<guest_link*>> reach_guest(const guest_reference& guest,
                                                            std::unique_ptr<guest_link>& link);
    run_observer observer() const;

    const controller_options& options_;
    const file_tree& files_;
    journal& journal_;
    host_control& host_;
};

} // namespace vmplug
