#include "step/confirm_guest.hpp"

#include "step/field_check.hpp"
#include "step/release_device.hpp"
#include "step/steps.hpp"
#include "step/typed_kind.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace vmplug {

using boost::asio::awaitable;
using std::chrono::milliseconds;

result<confirm_guest_arguments> confirm_guest_arguments::parse(const fields& values) {
    const auto fine =
        field_check(values).has("id", is_qdev_id).has("wait_ms", is_milliseconds).verdict();
    if (fine.has_error()) return fine.error();
    return confirm_guest_arguments{field(values, "id"),
                                   milliseconds(number_field<std::int64_t>(values, "wait_ms"))};
}

namespace {

/// No event tells that the guest has configured a device, so it is looked for, at growing
/// intervals.
constexpr milliseconds first_look_after{20};
constexpr milliseconds longest_interval{250};

/// Findings: `guest` = `configured` or `added`. It leaves nothing to undo.
struct confirm_guest_kind : kind_defaults<confirm_guest_arguments> {
    static std::string describe(const arguments& told) {
        return "wait up to " + std::to_string(told.wait.count()) +
               " ms until the guest has configured it";
    }
    static task<fields> apply(step_context& context, const arguments& told, const prior&);
};

fields not_seen(const error& why) {
    return {{"guest", "added"},
            {"told", "whether the guest has configured it could not be seen: " + why.text}};
}

awaitable<result<fields>> confirm_guest_kind::apply(step_context& context, const arguments& told,
                                                    const prior&) {
    const auto& id = told.id;
    const auto end = context.time.now() + told.wait;
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

} // namespace

const step_kind_handler& confirm_guest_step() {
    static const typed_kind<confirm_guest_kind> kind;
    return kind;
}

} // namespace vmplug
