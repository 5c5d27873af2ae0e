#include "step/field_check.hpp"
#include "step/steps.hpp"
#include "step/wait.hpp"

#include <vmplug/plan.hpp>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// Loads the module of an assignment driver.
///
/// Arguments: `module`, `driver`. It leaves nothing to undo: by the time of an undo other processes
/// may rely on the module, and a loaded module alone changes no device.
class load_module_kind final : public step_kind_handler {
public:
    std::string_view name() const override { return step_kind::load_module; }
    std::string describe(const fields& arguments) const override;
    result<void> check(const fields& arguments, const fields& prior) const override;
    task<fields> apply(step_context& context, const fields& arguments,
                       const fields& prior) const override;
};

} // namespace

std::string load_module_kind::describe(const fields& arguments) const {
    return "load the kernel module " + field(arguments, "module");
}

result<void> load_module_kind::check(const fields& arguments, const fields&) const {
    return field_check(arguments).has("module", is_component).has("driver", is_component).verdict();
}

awaitable<result<fields>> load_module_kind::apply(step_context& context, const fields& arguments,
                                                  const fields&) const {
    const auto driver = "/sys/bus/pci/drivers/" + field(arguments, "driver");
    if (context.host.exists(driver)) co_return fields{};
    auto loaded =
        co_await context.host.load_module(field(arguments, "module"), context.host_deadline);
    if (loaded.has_error()) co_return loaded.error();
    if (context.host.exists(driver)) co_return fields{};
    co_return error{error_code::driver_unavailable,
                    driver,
                    "the module is loaded, but its driver is not there",
                    {}};
}

const step_kind_handler& load_module_step() {
    static const load_module_kind kind;
    return kind;
}

} // namespace vmplug
