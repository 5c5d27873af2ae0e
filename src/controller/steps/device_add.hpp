#pragma once

#include "controller/step_kind.hpp"

namespace vmplug {

/// Adds the assigned device to the guest.
///
/// Arguments: `id`, `arguments` (the JSON object of device_add). Its undo asks the guest to let go
/// and may therefore end as `unplug_pending`.
class device_add_kind final : public step_kind_handler {
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
