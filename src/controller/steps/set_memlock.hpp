#pragma once

#include "controller/step_kind.hpp"

namespace vmplug {

/// Raises QEMU's limit for locked memory, since VFIO locks all of the guest's RAM.
///
/// Arguments: `pid`, `start_time`, `boot_id`, and `size_bytes` (at least that much) or `soft_bytes`
/// and `hard_bytes` (exactly that, when the device comes back). Prior state: `soft_bytes`,
/// `hard_bytes`.
class set_memlock_kind final : public step_kind_handler {
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
