#include "controller/steps/release_device.hpp"

#include "controller/steps/wait.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// QEMU's own button press expires after 5 s on native PCI Express ports; before that a second
/// request is refused or does nothing.
constexpr milliseconds ask_again_after{6000};
/// "guest is busy (power indicator blinking)": the port is still at the previous add.
constexpr milliseconds busy_retry_after{1000};
constexpr milliseconds look_interval{500};

bool is_gone_for_good(const step_context& context) {
    return context.qemu.pid != 0 && !context.host.is_alive(context.qemu);
}

milliseconds until(steady_clock::time_point end) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now());
    return std::max(left, milliseconds(0));
}

error pending(const std::string& qdev_id, const std::string& last_words) {
    return {error_code::unplug_pending,
            "device_del " + qdev_id,
            "the guest has not let go of the device yet" +
                (last_words.empty() ? std::string() : " (QEMU: " + last_words + ")"),
            {}};
}

} // namespace

awaitable<result<guest_sight>> look_for_device(step_context& context, std::string qdev_id) {
    if (is_gone_for_good(context)) co_return guest_sight::gone;
    auto link = co_await context.guest();
    if (link.has_value()) {
        auto sight = co_await (*link)->look(std::move(qdev_id), context.guest_deadline);
        if (sight.has_value() || !is_gone_for_good(context)) co_return sight;
        co_return guest_sight::gone;
    }
    // The process may have ended while we tried to reach it.
    if (is_gone_for_good(context)) co_return guest_sight::gone;
    co_return link.error();
}

awaitable<result<void>> release_device(step_context& context, std::string qdev_id,
                                       milliseconds most) {
    const auto end = steady_clock::now() + most;
    auto ask_at = steady_clock::now();
    std::string last_words;
    for (;;) {
        auto sight = co_await look_for_device(context, qdev_id);
        if (sight.has_error()) co_return sight.error();
        if (*sight == guest_sight::gone) co_return result<void>{};
        auto link = co_await context.guest();
        if (link.has_error()) co_return link.error();
        if (steady_clock::now() >= ask_at) {
            auto asked = co_await (*link)->device_del(qdev_id, context.guest_deadline);
            const bool refused = asked.has_error();
            if (refused && asked.error().code != error_code::command_failed) co_return asked;
            last_words = refused ? asked.error().text : std::string();
            ask_at = steady_clock::now() + (refused ? busy_retry_after : ask_again_after);
            if (context.progress) context.progress("waiting for the guest to let go of " + qdev_id);
        }
        const bool stopped = context.stop_requested && context.stop_requested();
        if (stopped || steady_clock::now() >= end) co_return pending(qdev_id, last_words);
        co_await (*link)->wait_for_change(qdev_id, std::min(look_interval, until(end)));
    }
}

} // namespace vmplug
