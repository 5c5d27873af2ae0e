#pragma once

#include "controller/step_kind.hpp"

namespace vmplug {

/// Moves one PCI function to a driver, with the driver_override that keeps it there.
///
/// Arguments: `device`, `driver` (empty: none), `driver_override` (empty: any), `netdev` (waited
/// for; empty: none). Prior state: `driver`, `driver_override`, `netdev`.
class set_binding_kind final : public step_kind_handler {
public:
    std::string_view name() const override;
    std::string describe(const fields& arguments) const override;
    std::vector<std::string> manual_undo(const fields& arguments,
                                         const fields& prior) const override;
    task<fields> observe(step_context& context, const fields& arguments) const override;
    task<fields> apply(step_context& context, const fields& arguments,
                       const fields& prior) const override;
    boost::asio::awaitable<presence> probe(step_context& context, const fields& arguments,
                                           const fields& prior) const override;
    task<void> revert(step_context& context, const fields& arguments,
                      const fields& prior) const override;
};

} // namespace vmplug
