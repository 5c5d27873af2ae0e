#pragma once

#include "port/call_limit.hpp"
#include "port/clock.hpp"

#include <boost/asio/awaitable.hpp>

#include <deque>
#include <memory>
#include <stop_token>
#include <utility>

namespace vmplug {

/// A line of operations of one process: one has its turn, the others get theirs in the order in
/// which they came.
class turn_line {
public:
    /// Given back when it goes. The line has to outlive it.
    class turn {
    public:
        turn() = default;
        turn(turn&& other) noexcept : line_(std::exchange(other.line_, nullptr)) {}
        turn& operator=(turn&& other) noexcept;
        ~turn() { give_back(); }

        void give_back();
        explicit operator bool() const { return line_ != nullptr; }

    private:
        friend class turn_line;
        explicit turn(turn_line& line) : line_(&line) {}

        turn_line* line_ = nullptr;
    };

    turn_line() = default;
    turn_line(const turn_line&) = delete;
    turn_line& operator=(const turn_line&) = delete;

    /// Returns no turn when the limit came first.
    boost::asio::awaitable<turn> take(clock& time, call_limit limit);

private:
    void leave();

    bool taken_ = false;
    std::deque<std::stop_source*> waiting_; ///< each is told when its turn has come
};

} // namespace vmplug
