#include "step/field_check.hpp"
#include "step/release_device.hpp"
#include "step/steps.hpp"
#include "step/wait.hpp"

#include <vmplug/plan.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

/// No event tells that the guest has configured a device, so it is looked for, at growing
/// intervals.
constexpr milliseconds first_look_after{20};
constexpr milliseconds longest_interval{250};

/// Watches a device that was just added: the guest configures it, or rejects it.
///
/// Arguments: `id`, `wait_ms`. Findings: `guest` = `configured` or `added`. It leaves nothing to
/// undo.
class confirm_guest_kind final : public step_kind_handler {
public:
    std::string_view name() const override { return step_kind::confirm_guest; }
    std::string describe(const fields& arguments) const override;
    result<void> check(const fields& arguments, const fields& prior) const override;
    task<fields> apply(step_context& context, const fields& arguments,
                       const fields& prior) const override;
};

fields not_seen(const error& why) {
    return {{"guest", "added"},
            {"told", "whether the guest has configured it could not be seen: " + why.text}};
}

} // namespace

std::string confirm_guest_kind::describe(const fields& arguments) const {
    return "wait up to " + field(arguments, "wait_ms") + " ms until the guest has configured it";
}

result<void> confirm_guest_kind::check(const fields& arguments, const fields&) const {
    return field_check(arguments).has("id", is_qdev_id).has("wait_ms", is_milliseconds).verdict();
}

awaitable<result<fields>> confirm_guest_kind::apply(step_context& context, const fields& arguments,
                                                    const fields&) const {
    const auto id = field(arguments, "id");
    const auto end =
        context.time.now() + milliseconds(number_field<std::int64_t>(arguments, "wait_ms"));
    auto interval = first_look_after;
    const guest_link* heard = nullptr;
    std::unique_ptr<device_watch> watch;
    if (context.progress) context.progress("waiting for the guest to configure " + id);
    for (;;) {
        // QEMU has the device: an answer that is lost or late is no reason to take it back.
        auto sight = co_await look_for_device(context, id);
        if (sight.has_error()) {
            if (context.stop.stop_requested() || context.time.now() >= end)
                co_return not_seen(sight.error());
            co_await context.time.wait(interval, context.stop);
            interval = std::min(interval * 2, longest_interval);
            continue;
        }
        if (*sight == guest_sight::gone)
            co_return error{error_code::guest_rejected,
                            "device_add " + id,
                            "the guest gave the device back at once",
                            {}};
        if (*sight == guest_sight::configured) co_return fields{{"guest", "configured"}};
        if (context.stop.stop_requested() || context.time.now() >= end)
            co_return fields{{"guest", "added"}};
        auto link = co_await context.guest();
        if (link.has_error()) co_return not_seen(link.error());
        if (std::exchange(heard, *link) != *link) watch = (*link)->watch(id);
        const call_limit most(interval, context.stop);
        co_await watch->next(most);
        interval = std::min(interval * 2, longest_interval);
    }
}

const step_kind_handler& confirm_guest_step() {
    static const confirm_guest_kind kind;
    return kind;
}

} // namespace vmplug
