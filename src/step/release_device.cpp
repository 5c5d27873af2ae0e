#include "step/release_device.hpp"

#include "step/shell.hpp"
#include "step/wait.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

/// QEMU's own button press expires after 5 s on native PCI Express ports; before that a second
/// request is refused or does nothing.
constexpr milliseconds ask_again_after{6000};
/// "guest is busy (power indicator blinking)": the port is still at the previous add.
constexpr milliseconds busy_retry_after{1000};
constexpr milliseconds look_interval{500};
constexpr milliseconds end_deadline{5000};
constexpr milliseconds end_interval{10};

bool is_gone_for_good(const step_context& context) {
    return context.qemu.pid != 0 && !context.host.is_alive(context.qemu);
}

/// A QEMU that is ending closes its monitor first and its devices later. Waits for the end when the
/// monitor was lost; a QEMU that lives on is left as soon as that is clear.
awaitable<bool> ends_soon(step_context& context, error_code lost) {
    const bool monitor_lost = lost == error_code::no_monitor || lost == error_code::monitor_gone ||
                              lost == error_code::connection_lost;
    const auto end = context.time.now() + (monitor_lost ? end_deadline : milliseconds(0));
    while (!is_gone_for_good(context)) {
        if (context.time.now() >= end) co_return false;
        co_await context.time.wait(end_interval);
    }
    co_return true;
}

milliseconds until(clock::time_point end, const clock& time) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - time.now());
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

std::string manual_device_del(const std::string& qdev_id, const fields& subject) {
    const auto& monitor = field(subject, "monitor");
    return "vmplug qmp " + quote_for_shell(monitor.empty() ? field(subject, "guest") : monitor) +
           " device_del id=" + quote_for_shell(qdev_id);
}

awaitable<result<guest_sight>> look_for_device(step_context& context, std::string qdev_id) {
    if (is_gone_for_good(context)) co_return guest_sight::gone;
    auto link = co_await context.guest();
    auto sight = result<guest_sight>(guest_sight::gone);
    if (link.has_value())
        sight = co_await (*link)->look(std::move(qdev_id), context.guest_deadline);
    else
        sight = link.error();
    if (sight.has_value()) co_return sight;
    if (co_await ends_soon(context, sight.error().code)) co_return guest_sight::gone;
    co_return sight;
}

awaitable<result<void>> release_device(step_context& context, std::string qdev_id,
                                       milliseconds most) {
    const auto end = context.time.now() + most;
    auto ask_at = context.time.now();
    std::string last_words;
    for (;;) {
        auto sight = co_await look_for_device(context, qdev_id);
        if (sight.has_error()) co_return sight.error();
        if (*sight == guest_sight::gone) co_return result<void>{};
        auto link = co_await context.guest();
        if (link.has_error()) co_return link.error();
        if (context.time.now() >= ask_at) {
            auto asked = co_await (*link)->device_del(qdev_id, context.guest_deadline);
            const bool refused = asked.has_error();
            if (refused && asked.error().code != error_code::command_failed) co_return asked;
            last_words = refused ? asked.error().text : std::string();
            ask_at = context.time.now() + (refused ? busy_retry_after : ask_again_after);
            if (context.progress) context.progress("waiting for the guest to let go of " + qdev_id);
        }
        const bool stopped = context.stop_requested && context.stop_requested();
        if (stopped || context.time.now() >= end) co_return pending(qdev_id, last_words);
        co_await (*link)->wait_for_change(qdev_id,
                                          std::min(look_interval, until(end, context.time)));
    }
}

} // namespace vmplug
