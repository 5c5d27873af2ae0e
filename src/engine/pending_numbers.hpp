#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <utility>

namespace vmplug {

/// The operations of this process that a guest has left pending, for whoever waits for guests.
class pending_numbers {
public:
    void note(std::int64_t number) {
        numbers_.insert(number);
        if (called_) called_();
    }

    std::set<std::int64_t> take() { return std::exchange(numbers_, {}); }

    /// `called` at each one that is noted from now on; nullptr: nobody waits.
    void call_at_next(std::function<void()> called) { called_ = std::move(called); }

private:
    std::set<std::int64_t> numbers_;
    std::function<void()> called_;
};

} // namespace vmplug
