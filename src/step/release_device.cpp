#include "step/release_device.hpp"

#include "step/shell.hpp"
#include "step/wait.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

/// QEMU's own button press expires after 5 s on native PCI Express ports; before that a second
/// request is refused or does nothing.
constexpr milliseconds ask_again_after{6000};
/// "guest is busy (power indicator blinking)": the port is still at the previous add.
constexpr milliseconds busy_retry_after{1000};
/// Events tell it at once, where QEMU has them (1.5); a look is for those that it has not.
constexpr milliseconds first_look_after{500};
constexpr milliseconds longest_interval{2000};
constexpr int rounds_at_once = 5;
constexpr milliseconds least_interval{50};
constexpr milliseconds end_deadline{5000};
constexpr milliseconds end_interval{10};

bool is_gone_for_good(const step_context& context) {
    return context.qemu.pid != 0 && !context.host.is_alive(context.qemu);
}

/// For a look after a stop: somebody waits for the end.
constexpr milliseconds hurried_look{5000};

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

/// A stop shortens a look, and does not prevent it: what becomes of the device depends on it.
awaitable<result<guest_sight>> look_through(guest_link& link, std::string qdev_id,
                                            const step_context& context) {
    if (!context.stop.stop_requested()) {
        const call_limit patient(context.guest_deadline, context.stop);
        auto sight = co_await link.look(qdev_id, patient);
        if (sight.has_value() || sight.error().code != error_code::cancelled) co_return sight;
    }
    const call_limit hurried(std::min(hurried_look, context.guest_deadline));
    co_return co_await link.look(std::move(qdev_id), hurried);
}

error refused(const std::string& qdev_id) {
    return {error_code::unplug_refused,
            "device_del " + qdev_id,
            "the guest has answered that it does not let go of the device",
            {}};
}

error pending(const std::string& qdev_id, const std::string& why) {
    return {error_code::unplug_pending,
            "device_del " + qdev_id,
            "the guest has not let go of the device yet" +
                (why.empty() ? std::string() : " (" + why + ")"),
            {}};
}

} // namespace

std::string manual_device_del(const std::string& qdev_id, const fields& subject) {
    const auto& monitor = field(subject, "monitor");
    if (monitor.starts_with("hmp:"))
        return "vmplug hmp " + quote_for_shell(monitor) + " device_del " + quote_for_shell(qdev_id);
    return "vmplug qmp " + quote_for_shell(monitor.empty() ? field(subject, "guest") : monitor) +
           " device_del id=" + quote_for_shell(qdev_id);
}

awaitable<result<guest_sight>> look_for_device(step_context& context, std::string qdev_id) {
    if (is_gone_for_good(context)) co_return guest_sight::gone;
    auto link = co_await context.guest();
    auto sight = result<guest_sight>(guest_sight::gone);
    if (link.has_value())
        sight = co_await look_through(**link, std::move(qdev_id), context);
    else
        sight = link.error();
    if (sight.has_value()) co_return sight;
    if (co_await ends_soon(context, sight.error().code)) co_return guest_sight::gone;
    co_return sight;
}

namespace {

/// Asks for it again when an earlier request can have been forgotten, and hears what comes of it.
class release_request {
public:
    release_request(step_context& context, std::string qdev_id)
        : context_(context), qdev_id_(std::move(qdev_id)), ask_at_(context.time.now()) {}

    /// Errors: as of `guest_link::device_del`, but what QEMU says is kept.
    awaitable<result<void>> ask(guest_link& link) {
        // A new connection hears nothing of what the old one was told.
        if (std::exchange(heard_, &link) != &link) watch_ = link.watch(qdev_id_);
        if (context_.time.now() < ask_at_) co_return result<void>();
        const call_limit patient(context_.guest_deadline, context_.stop);
        auto asked = co_await link.device_del(qdev_id_, patient);
        const bool busy = asked.has_error() && asked.error().code == error_code::command_failed;
        if (asked.has_error() && !busy) co_return asked;
        last_words_ = busy ? "QEMU: " + asked.error().text : std::string();
        ask_at_ = context_.time.now() + (busy ? busy_retry_after : ask_again_after);
        if (context_.progress) context_.progress("waiting for the guest to let go of " + qdev_id_);
        co_return result<void>();
    }

    /// Until something is heard, or it is time to ask again. Others may have the guest meanwhile.
    /// Errors: our turn did not come again.
    awaitable<result<void>> hear(clock::time_point end) {
        const auto left = time_left(std::min(end, ask_at_), context_.time.now());
        const call_limit most(std::min(left, interval_), context_.stop);
        interval_ = std::min(interval_ * 2, longest_interval);
        const std::function<awaitable<void>()> listen = [this, most]() -> awaitable<void> {
            news_ = co_await watch_->next(most);
        };
        if (!context_.let_others) {
            co_await listen();
            co_return result<void>();
        }
        co_return co_await context_.let_others(listen);
    }

    guest_news news() const { return news_; }
    const std::string& last_words() const { return last_words_; }

private:
    step_context& context_;
    std::string qdev_id_;
    clock::time_point ask_at_;
    milliseconds interval_ = first_look_after;
    const guest_link* heard_ = nullptr;
    std::unique_ptr<device_watch> watch_;
    guest_news news_ = guest_news::nothing;
    std::string last_words_;
};

} // namespace

awaitable<result<void>> release_device(step_context& context, std::string qdev_id,
                                       milliseconds most) {
    const auto end = context.time.now() + most;
    release_request request(context, qdev_id);
    int rounds = 0;
    for (;;) {
        const auto sight = co_await look_for_device(context, qdev_id);
        if (sight.has_error()) co_return sight.error();
        if (*sight == guest_sight::gone) co_return result<void>{};
        if (request.news() == guest_news::refused) co_return refused(qdev_id);
        const auto link = co_await context.guest();
        if (link.has_error()) co_return link.error();
        const auto asked = co_await request.ask(**link);
        if (asked.has_error() && asked.error().code != error_code::cancelled) co_return asked;
        if (asked.has_error() || context.stop.stop_requested() || context.time.now() >= end)
            co_return pending(qdev_id, request.last_words());
        // A QEMU that tells without an end does not set the pace.
        if (++rounds > rounds_at_once) co_await context.time.wait(least_interval, context.stop);
        const auto again = co_await request.hear(end);
        if (again.has_error()) co_return pending(qdev_id, again.error().text);
    }
}

} // namespace vmplug
