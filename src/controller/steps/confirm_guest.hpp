#pragma once

#include "controller/step_kind.hpp"

namespace vmplug {

/// Watches a device that was just added: the guest configures it, or rejects it.
///
/// Arguments: `id`, `wait_ms`. Findings: `guest` = `configured` or `added`. It leaves nothing to
/// undo.
class confirm_guest_kind final : public step_kind_handler {
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
