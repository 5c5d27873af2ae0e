#include "engine/late_unplugs.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

/// Events tell it at once; a look is for a guest that tells none, or cannot be reached now.
constexpr milliseconds look_interval{30'000};
constexpr milliseconds reach_interval{5'000};
constexpr milliseconds idle{3'600'000};

bool is_over(const result<operation_record>& record) {
    return record.has_error() || record->state == operation_state::closed;
}

} // namespace

awaitable<void> late_unplugs::run() {
    const auto executor = co_await boost::asio::this_coro::executor;
    std::size_t waiting = 0;
    std::stop_source all_ended;
    while (!options_.stop.stop_requested()) {
        for (const auto number : shared_.pending.take()) {
            ++waiting;
            boost::asio::co_spawn(executor, wait_for(number), [&](std::exception_ptr failure) {
                if (--waiting == 0 && options_.stop.stop_requested()) all_ended.request_stop();
                if (failure) std::rethrow_exception(failure);
            });
        }
        std::stop_source wake;
        const std::stop_callback by_stop(options_.stop, [&wake] { wake.request_stop(); });
        shared_.pending.call_at_next([&wake] { wake.request_stop(); });
        co_await shared_.at.time.wait(idle, wake.get_token());
        shared_.pending.call_at_next(nullptr);
    }
    while (waiting > 0)
        co_await shared_.at.time.wait(idle, all_ended.get_token());
}

/// Returns whether the guest may have let go.
awaitable<bool> late_unplugs::wait_once(guest_seat& seat, const operation_record& detach) {
    const auto qemu = guest_process(detach);
    if (qemu.pid != 0 && !shared_.at.host.is_alive(qemu)) co_return true;
    const call_limit patient(options_.turn_deadline, options_.stop);
    const auto turn = co_await seat.take_turn(patient);
    std::unique_ptr<device_watch> watch;
    bool gone = false;
    if (turn.has_value()) {
        const auto link = co_await seat.reach(options_.greeting_deadline);
        const auto& id = field(detach.subject, "id");
        const call_limit short_look(options_.guest_deadline, options_.stop);
        if (link.has_value()) {
            watch = (*link)->watch(id);
            const auto sight = co_await (*link)->look(id, short_look);
            gone = sight.has_value() && *sight == guest_sight::gone;
        }
        seat.give_turn();
    }
    if (gone) co_return true;
    if (!watch) {
        co_await shared_.at.time.wait(reach_interval, options_.stop);
        co_return false;
    }
    const call_limit until_news(look_interval, options_.stop);
    co_await watch->next(until_news);
    co_return false;
}

awaitable<void> late_unplugs::wait_for(std::int64_t number) {
    auto opened = shared_.at.store.open();
    if (opened.has_error()) co_return;
    auto detach = co_await (*opened)->load(number);
    if (is_over(detach)) co_return;
    auto guest = co_await shared_.at.vms.find_again(*detach);
    const auto seat = shared_.guests.join(std::move(guest));
    while (!options_.stop.stop_requested()) {
        const bool may_be_gone = co_await wait_once(*seat, *detach);
        detach = co_await (*opened)->load(number);
        if (is_over(detach)) co_return;
        if (!may_be_gone || options_.stop.stop_requested()) continue;
        use_case settle(shared_, options_);
        const auto report = co_await settle.settle(number);
        if (report.record.state == operation_state::closed) {
            if (settled_) settled_(report);
            co_return;
        }
        co_await shared_.at.time.wait(reach_interval, options_.stop);
    }
}

} // namespace vmplug
