#include "engine/late_unplugs.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

/// Events tell it at once; a look is for a guest that tells none.
constexpr milliseconds look_interval{30'000};
/// Of a guest that cannot be reached now.
constexpr milliseconds life_interval{5'000};
constexpr milliseconds idle{3'600'000};
constexpr milliseconds least_interval{100};
/// After what could not be settled.
constexpr milliseconds first_pause{5'000};
constexpr milliseconds longest_pause{600'000};

} // namespace

awaitable<void> late_unplugs::run() {
    const auto executor = co_await boost::asio::this_coro::executor;
    std::stop_source all_ended;
    while (!options_.stop.stop_requested()) {
        for (const auto number : shared_.pending.take()) {
            if (!waiting_.insert(number).second) continue;
            boost::asio::co_spawn(executor, wait_for(number), [&, number](std::exception_ptr) {
                waiting_.erase(number);
                if (waiting_.empty() && options_.stop.stop_requested()) all_ended.request_stop();
            });
        }
        std::stop_source wake;
        const std::stop_callback by_stop(options_.stop, [&wake] { wake.request_stop(); });
        shared_.pending.call_at_next([&wake] { wake.request_stop(); });
        co_await shared_.at.time.wait(idle, wake.get_token());
        shared_.pending.call_at_next(nullptr);
    }
    while (!waiting_.empty())
        co_await shared_.at.time.wait(idle, all_ended.get_token());
}

/// Nothing: it may be tried now.
milliseconds late_unplugs::until_reach(guest_seat& seat) const {
    const auto next = seat.next_reach();
    const auto* attempt = std::get_if<reconnect_policy::try_at>(&next);
    if (!attempt) return milliseconds(0);
    return time_left(attempt->when, shared_.at.time.now());
}

/// Looks, when it is time to, and listens from then on.
awaitable<late_unplugs::sight> late_unplugs::look(guest_seat& seat, std::string id) const {
    sight seen;
    // Nobody is kept waiting by a turn in which nothing would be tried.
    if (until_reach(seat).count() > 0) co_return seen;
    const call_limit patient(options_.turn_deadline, options_.stop);
    const auto turn = co_await seat.take_turn(patient);
    if (turn.has_error()) co_return seen;
    // Who had the turn may have tried just now.
    if (until_reach(seat).count() == 0) {
        const auto link = co_await seat.reach(options_.greeting_deadline);
        const call_limit short_look(options_.guest_deadline, options_.stop);
        if (link.has_value()) {
            seen.watch = (*link)->watch(id);
            const auto found = co_await (*link)->look(id, short_look);
            seen.gone = found.has_value() && *found == guest_sight::gone;
        }
    }
    seat.give_turn();
    co_return seen;
}

/// Returns whether the guest may have let go.
awaitable<bool> late_unplugs::wait_once(guest_seat& seat, const operation_record& detach) {
    const auto qemu = guest_process(detach);
    if (qemu.pid != 0 && !shared_.at.host.is_alive(qemu)) seat.note_end();
    const auto next = seat.next_reach();
    if (std::holds_alternative<reconnect_policy::give_up>(next)) co_return true;
    const auto seen = co_await look(seat, field(detach.subject, "id"));
    if (seen.gone) co_return true;
    if (seen.watch) {
        const call_limit until_news(look_interval, options_.stop);
        co_await seen.watch->next(until_news);
        co_return false;
    }
    // Whether its process has ended is asked oftener than its monitor can be tried.
    const auto left = until_reach(seat);
    const auto pause = left.count() > 0 ? std::min(left, life_interval) : life_interval;
    co_await shared_.at.time.wait(pause, options_.stop);
    co_return false;
}

/// What the machine is short of for a moment (descriptors, memory) is nothing to end a process for
/// in which other operations run.
awaitable<void> late_unplugs::wait_for(std::int64_t number) {
    auto pause = first_pause;
    while (!options_.stop.stop_requested()) {
        bool over = false;
        try {
            over = co_await settle_when_gone(number);
        } catch (const std::exception&) {
            over = false;
        }
        if (over) co_return;
        co_await shared_.at.time.wait(pause, options_.stop);
        pause = std::min(pause * 2, longest_pause);
    }
}

/// Returns whether it is settled, by whomever.
awaitable<bool> late_unplugs::settle_when_gone(std::int64_t number) {
    std::shared_ptr<guest_seat> seat;
    while (!options_.stop.stop_requested()) {
        const auto detach = co_await load(number);
        // A journal that cannot be read now can be later.
        if (detach.has_error()) co_return false;
        if (detach->state == operation_state::closed) co_return true;
        if (!seat) seat = shared_.guests.join(co_await shared_.at.vms.find_again(*detach));
        if (co_await wait_once(*seat, *detach)) break;
        // A QEMU that tells without an end does not set the pace.
        co_await shared_.at.time.wait(least_interval, options_.stop);
    }
    if (options_.stop.stop_requested()) co_return false;
    use_case settle(shared_, options_);
    const auto report = co_await settle.settle(number);
    if (report.record().state != operation_state::closed) co_return false;
    if (settled_ && report.ended()) settled_(report);
    co_return true;
}

awaitable<result<operation_record>> late_unplugs::load(std::int64_t number) const {
    auto opened = shared_.at.store.open();
    if (opened.has_error()) co_return opened.error();
    co_return co_await (*opened)->load(number);
}

} // namespace vmplug
