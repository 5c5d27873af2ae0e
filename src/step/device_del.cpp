#include "step/field_check.hpp"
#include "step/release_device.hpp"
#include "step/steps.hpp"
#include "step/wait.hpp"

#include <vmplug/plan.hpp>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// Takes a device from the guest: asks, and waits until it is gone.
///
/// Arguments: `id`, `wait_ms`. Fails with `unplug_pending` when the guest has not let go in time.
class device_del_kind final : public step_kind_handler {
public:
    std::string_view name() const override { return step_kind::device_del; }
    std::string describe(const fields& arguments) const override;
    result<void> check(const fields& arguments, const fields& prior) const override;
    std::vector<std::string> manual_finish(const fields& arguments,
                                           const fields& subject) const override;
    task<fields> apply(step_context& context, const fields& arguments,
                       const fields& prior) const override;
    task<presence> probe(step_context& context, const fields& arguments,
                         const fields& prior) const override;
};

} // namespace

std::string device_del_kind::describe(const fields& arguments) const {
    return "ask the guest to let go of " + field(arguments, "id") + " and wait up to " +
           field(arguments, "wait_ms") + " ms until it has";
}

result<void> device_del_kind::check(const fields& arguments, const fields&) const {
    return field_check(arguments).has("id", is_qdev_id).has("wait_ms", is_milliseconds).verdict();
}

std::vector<std::string> device_del_kind::manual_finish(const fields& arguments,
                                                        const fields& subject) const {
    return {manual_device_del(field(arguments, "id"), subject)};
}

awaitable<result<fields>> device_del_kind::apply(step_context& context, const fields& arguments,
                                                 const fields&) const {
    const std::chrono::milliseconds most(number_field<std::int64_t>(arguments, "wait_ms"));
    auto released = co_await release_device(context, field(arguments, "id"), most);
    if (released.has_error()) co_return released.error();
    co_return fields{{"guest", "released"}};
}

awaitable<result<presence>> device_del_kind::probe(step_context& context, const fields& arguments,
                                                   const fields&) const {
    auto sight = co_await look_for_device(context, field(arguments, "id"));
    if (sight.has_error()) co_return sight.error();
    co_return *sight == guest_sight::gone ? presence::applied : presence::absent;
}

const step_kind_handler& device_del_step() {
    static const device_del_kind kind;
    return kind;
}

} // namespace vmplug
