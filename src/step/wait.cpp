#include "step/wait.hpp"

#include <cstring>

namespace vmplug {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds settle_deadline{5000};
constexpr milliseconds poll_interval{2};

} // namespace

boost::asio::awaitable<bool> holds(clock& time, const std::function<bool()>& condition) {
    const auto end = time.now() + settle_deadline;
    while (!condition()) {
        if (time.now() >= end) co_return false;
        co_await time.wait(poll_interval);
    }
    co_return true;
}

bool failed_with(const result<void>& done, int reason) {
    return done.has_error() && done.error().text == std::strerror(reason);
}

} // namespace vmplug
