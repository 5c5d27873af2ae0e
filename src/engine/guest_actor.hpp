#pragma once

#include "engine/turn_line.hpp"
#include "engine/world.hpp"

#include <vmplug/reconnect_policy.hpp>

#include <boost/asio/awaitable.hpp>

#include <map>
#include <memory>
#include <string>

namespace vmplug {

/// A guest as the operations of one process share it: the one connection that its QEMU serves, the
/// lease against other processes, and turns in the order in which they were asked for.
///
/// The connection and the lease last as long as somebody uses them.
struct guest_actor {
    turn_line turns;
    std::weak_ptr<lease> held;
    std::weak_ptr<guest_link> link;
    reconnect_policy again; ///< told of every attempt, asked by those who have no hurry
};

/// An operation's place at a guest.
///
/// Who has the turn may connect, ask and act; who waits for the guest may let others have it
/// meanwhile, with its connection and its lease still its own.
class guest_seat {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    guest_seat(world& at, std::shared_ptr<guest_actor> actor, guest_reference guest)
        : at_(at), actor_(std::move(actor)), guest_(std::move(guest)) {}
    guest_seat(const guest_seat&) = delete;
    guest_seat& operator=(const guest_seat&) = delete;

    /// To look: the lease is not needed. Errors: `guest_not_ready` when the limit came first.
    task<void> take_turn(call_limit limit);

    /// To act, in our turn: the lease against other processes. Errors: `guest_not_ready` naming the
    /// holder, and the turn is given back; `journal_unavailable`.
    task<void> take_lease(call_limit limit);

    void give_turn() { turn_.give_back(); }

    /// The connection: the one that there is, or made anew. Only in our turn.
    /// Errors: those of `guests::connect`.
    task<guest_link*> reach(std::chrono::milliseconds greeting_deadline);

    /// When to `reach`, for who only waits for this guest; who acts for somebody does so at once.
    reconnect_policy::answer next_reach();

    /// The guest's process has ended, for all who wait for it.
    void note_end() { actor_->again.ended(); }

    /// Goes on with the connection of another seat, unless there is one here.
    void adopt(const guest_seat& other);

    /// Nullptr: it has none.
    const lease* held() const { return lease_.get(); }

private:
    error not_our_turn(const std::string& holder) const;
    void note_loss();

    world& at_;
    std::shared_ptr<guest_actor> actor_;
    guest_reference guest_;
    std::shared_ptr<lease> lease_;
    std::shared_ptr<guest_link> link_;
    turn_line::turn turn_;
};

/// The guests that operations of this process work on.
class guest_actors {
public:
    explicit guest_actors(world& at) : at_(at) {}

    /// By what the guest is known as now: its process, or its monitor.
    std::shared_ptr<guest_seat> join(guest_reference guest);

private:
    world& at_;
    std::map<std::string, std::weak_ptr<guest_actor>> actors_;
};

} // namespace vmplug
