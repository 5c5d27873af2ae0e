#include "engine/turn_line.hpp"

namespace vmplug {

using boost::asio::awaitable;

turn_line::turn& turn_line::turn::operator=(turn&& other) noexcept {
    give_back();
    line_ = std::exchange(other.line_, nullptr);
    return *this;
}

void turn_line::turn::give_back() {
    if (auto* const left = std::exchange(line_, nullptr)) left->leave();
}

void turn_line::leave() {
    taken_ = !waiting_.empty();
    if (!taken_) return;
    auto* const next = waiting_.front();
    waiting_.pop_front();
    next->request_stop();
}

awaitable<turn_line::turn> turn_line::take(clock& time, call_limit limit) {
    if (!std::exchange(taken_, true)) co_return turn(*this);
    if (limit.stop().stop_requested() || limit.most().count() <= 0) co_return turn();
    std::stop_source called;
    std::stop_source wake;
    const std::stop_callback by_turn(called.get_token(), [&wake] { wake.request_stop(); });
    const std::stop_callback by_stop(limit.stop(), [&wake] { wake.request_stop(); });
    waiting_.push_back(&called);
    // Also when the waiting one is given up.
    const std::shared_ptr<void> after(nullptr, [&](void*) { std::erase(waiting_, &called); });
    co_await time.wait(limit.most(), wake.get_token());
    co_return called.stop_requested() ? turn(*this) : turn();
}

} // namespace vmplug
