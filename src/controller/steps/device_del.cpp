#include "controller/steps/device_del.hpp"

#include "controller/steps/release_device.hpp"
#include "controller/steps/wait.hpp"

#include <vmplug/plan.hpp>

namespace vmplug {

using boost::asio::awaitable;

std::string_view device_del_kind::name() const {
    return step_kind::device_del;
}

std::string device_del_kind::describe(const fields& arguments) const {
    return "ask the guest to let go of " + field(arguments, "id") + " and wait up to " +
           field(arguments, "wait_ms") + " ms until it has";
}

std::vector<std::string> device_del_kind::manual_undo(const fields&, const fields&) const {
    return {};
}

awaitable<result<fields>> device_del_kind::observe(step_context&, const fields&) const {
    co_return fields{};
}

awaitable<result<fields>> device_del_kind::apply(step_context& context, const fields& arguments,
                                                 const fields&) const {
    const std::chrono::milliseconds most(number_field<std::int64_t>(arguments, "wait_ms"));
    auto released = co_await release_device(context, field(arguments, "id"), most);
    if (released.has_error()) co_return released.error();
    co_return fields{{"guest", "released"}};
}

awaitable<presence> device_del_kind::probe(step_context& context, const fields& arguments,
                                           const fields&) const {
    auto sight = co_await look_for_device(context, field(arguments, "id"));
    if (sight.has_error()) co_return presence::unknown;
    co_return *sight == guest_sight::gone ? presence::applied : presence::absent;
}

/// A device that the guest has let go of is not given back to it.
awaitable<result<void>> device_del_kind::revert(step_context&, const fields&, const fields&) const {
    co_return result<void>{};
}

} // namespace vmplug
