#include "controller/steps/confirm_guest.hpp"

#include "controller/steps/release_device.hpp"
#include "controller/steps/wait.hpp"

#include <vmplug/plan.hpp>

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// No event tells that the guest has configured a device, so it is looked for, at growing
/// intervals.
constexpr milliseconds first_look_after{20};
constexpr milliseconds longest_interval{250};

} // namespace

std::string_view confirm_guest_kind::name() const {
    return step_kind::confirm_guest;
}

std::string confirm_guest_kind::describe(const fields& arguments) const {
    return "wait up to " + field(arguments, "wait_ms") + " ms until the guest has configured it";
}

std::vector<std::string> confirm_guest_kind::manual_undo(const fields&, const fields&) const {
    return {};
}

awaitable<result<fields>> confirm_guest_kind::observe(step_context&, const fields&) const {
    co_return fields{};
}

awaitable<result<fields>> confirm_guest_kind::apply(step_context& context, const fields& arguments,
                                                    const fields&) const {
    const auto id = field(arguments, "id");
    const auto end =
        steady_clock::now() + milliseconds(number_field<std::int64_t>(arguments, "wait_ms"));
    auto interval = first_look_after;
    if (context.progress) context.progress("waiting for the guest to configure " + id);
    for (;;) {
        auto sight = co_await look_for_device(context, id);
        if (sight.has_error()) co_return sight.error();
        if (*sight == guest_sight::gone)
            co_return error{error_code::guest_rejected,
                            "device_add " + id,
                            "the guest gave the device back at once",
                            {}};
        if (*sight == guest_sight::configured) co_return fields{{"guest", "configured"}};
        const bool stopped = context.stop_requested && context.stop_requested();
        if (stopped || steady_clock::now() >= end) co_return fields{{"guest", "added"}};
        auto link = co_await context.guest();
        if (link.has_error()) co_return link.error();
        co_await (*link)->wait_for_change(id, interval);
        interval = std::min(interval * 2, longest_interval);
    }
}

awaitable<presence> confirm_guest_kind::probe(step_context&, const fields&, const fields&) const {
    co_return presence::absent;
}

awaitable<result<void>> confirm_guest_kind::revert(step_context&, const fields&,
                                                   const fields&) const {
    co_return result<void>{};
}

} // namespace vmplug
