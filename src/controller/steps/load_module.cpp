#include "controller/steps/load_module.hpp"

#include "controller/steps/wait.hpp"

#include <vmplug/plan.hpp>

namespace vmplug {

using boost::asio::awaitable;

std::string_view load_module_kind::name() const {
    return step_kind::load_module;
}

std::string load_module_kind::describe(const fields& arguments) const {
    return "load the kernel module " + field(arguments, "module");
}

std::vector<std::string> load_module_kind::manual_undo(const fields&, const fields&) const {
    return {};
}

awaitable<result<fields>> load_module_kind::observe(step_context&, const fields&) const {
    co_return fields{};
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

awaitable<presence> load_module_kind::probe(step_context&, const fields&, const fields&) const {
    co_return presence::absent;
}

awaitable<result<void>> load_module_kind::revert(step_context&, const fields&,
                                                 const fields&) const {
    co_return result<void>{};
}

} // namespace vmplug
