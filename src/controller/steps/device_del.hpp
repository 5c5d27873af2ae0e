#pragma once

#include "controller/step_kind.hpp"

namespace vmplug {

/// Takes a device from the guest: asks, and waits until it is gone.
///
/// Arguments: `id`, `wait_ms`. Fails with `unplug_pending` when the guest has not let go in time.
class device_del_kind final : public step_kind_handler {
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
