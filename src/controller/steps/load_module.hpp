#pragma once

#include "controller/step_kind.hpp"

namespace vmplug {

/// Loads the module of an assignment driver.
///
/// Arguments: `module`, `driver`. It leaves nothing to undo: by the time of an undo other processes
/// may rely on the module, and a loaded module alone changes no device.
class load_module_kind final : public step_kind_handler {
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
