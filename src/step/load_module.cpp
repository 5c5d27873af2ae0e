#include "step/load_module.hpp"

#include "step/field_check.hpp"
#include "step/steps.hpp"
#include "step/typed_kind.hpp"

namespace vmplug {

using boost::asio::awaitable;

result<load_module_arguments> load_module_arguments::parse(const fields& values) {
    auto fine =
        field_check(values).has("module", is_component).has("driver", is_component).verdict();
    if (fine.has_error()) return fine.error();
    return load_module_arguments{field(values, "module"), field(values, "driver")};
}

namespace {

/// It leaves nothing to undo: by the time of an undo other processes may rely on the module, and a
/// loaded module alone changes no device.
struct load_module_kind : kind_defaults<load_module_arguments> {
    static std::string describe(const arguments& told) {
        return "load the kernel module " + told.module;
    }
    static task<fields> apply(step_context& context, const arguments& told, const prior&);
};

awaitable<result<fields>> load_module_kind::apply(step_context& context, const arguments& told,
                                                  const prior&) {
    const auto driver = "/sys/bus/pci/drivers/" + told.driver;
    if (context.host.exists(driver)) co_return fields{};
    auto loaded = co_await context.host.load_module(told.module, context.host_deadline);
    if (loaded.has_error()) co_return loaded.error();
    if (context.host.exists(driver)) co_return fields{};
    co_return error{error_code::driver_unavailable,
                    driver,
                    "the module is loaded, but its driver is not there",
                    {}};
}

} // namespace

const step_kind_handler& load_module_step() {
    static const typed_kind<load_module_kind> kind;
    return kind;
}

} // namespace vmplug
