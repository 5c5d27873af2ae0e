#include "engine/guest_actor.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;

/// The kernel tells nobody when the lock of another process is free.
constexpr milliseconds lease_interval{20};

} // namespace

error guest_seat::not_our_turn(const std::string& holder) const {
    return {error_code::guest_not_ready,
            guest_.name(),
            "another operation works on this guest: " + holder,
            {},
            advice::wait_for_operation};
}

awaitable<result<void>> guest_seat::take_turn(call_limit limit) {
    if (turn_) co_return result<void>{};
    turn_ = co_await actor_->turns.take(at_.time, std::move(limit));
    if (turn_) co_return result<void>{};
    auto holder = at_.leases.find_holder(guest_.lease_key());
    co_return not_our_turn(holder.empty() ? "of this process" : holder);
}

awaitable<result<void>> guest_seat::take_lease(call_limit limit) {
    const auto end = at_.time.now() + limit.most();
    // Another operation of this process may have it: then it is ours as well.
    if (!lease_) lease_ = actor_->held.lock();
    while (!lease_) {
        lease_holder other;
        auto taken = at_.leases.try_take(guest_.lease_key(), other);
        if (taken.has_error()) co_return taken.error();
        lease_ = std::move(*taken);
        actor_->held = lease_;
        const auto left = time_left(end, at_.time.now());
        if (lease_) break;
        if (limit.stop().stop_requested() || left.count() == 0) {
            turn_.give_back();
            co_return not_our_turn(other.who);
        }
        co_await at_.time.wait(std::min(left, lease_interval), limit.stop());
    }
    co_return result<void>{};
}

/// Nobody is told when it is lost: it is seen by who looks next.
void guest_seat::note_loss() {
    const auto there = actor_->link.lock();
    if (!there || there->is_open() || !actor_->again.is_connected()) return;
    actor_->again.lost(
        {error_code::connection_lost, there->address(), "the monitor was closed", {}},
        at_.time.now());
}

reconnect_policy::answer guest_seat::next_reach() {
    note_loss();
    return actor_->again.next();
}

awaitable<result<guest_link*>> guest_seat::reach(milliseconds greeting_deadline) {
    if (link_ && link_->is_open()) co_return link_.get();
    // Kept until there is another: who listens to it tells the two apart by their addresses.
    const auto lost = link_;
    if (auto there = actor_->link.lock(); there && there->is_open()) link_ = std::move(there);
    if (link_ && link_->is_open()) co_return link_.get();
    note_loss();
    auto connected = co_await at_.vms.connect(guest_, greeting_deadline);
    if (connected.has_error()) {
        actor_->again.lost(connected.error(), at_.time.now());
        co_return connected.error();
    }
    actor_->again.connected(at_.time.now());
    link_ = std::move(*connected);
    actor_->link = link_;
    co_return link_.get();
}

void guest_seat::adopt(const guest_seat& other) {
    const auto there = actor_->link.lock();
    link_ = there && there->is_open() ? there : other.link_;
    actor_->link = link_;
    const bool is_news = link_ && link_->is_open() && !actor_->again.is_connected();
    if (is_news) actor_->again.connected(at_.time.now());
}

std::shared_ptr<guest_seat> guest_actors::join(guest_reference guest) {
    std::erase_if(actors_, [](const auto& each) { return each.second.expired(); });
    auto& known = actors_[guest.lease_key()];
    auto actor = known.lock();
    if (!actor) known = actor = std::make_shared<guest_actor>();
    return std::make_shared<guest_seat>(at_, std::move(actor), std::move(guest));
}

} // namespace vmplug
