#include "engine/turn_line.hpp"
#include "support/virtual_clock.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <doctest/doctest.h>

using namespace vmplug;
using namespace vmplug::testing;
using std::chrono::milliseconds;

namespace {

struct queue {
    boost::asio::io_context io;
    virtual_clock time{io};
    turn_line line;
    std::string log;

    void come(const char* name, milliseconds stays, call_limit limit) {
        const auto use = [this, name, stays, limit]() -> boost::asio::awaitable<void> {
            const auto turn = co_await line.take(time, limit);
            log += std::string(name) + (turn ? " " : "- ");
            if (turn) co_await time.wait(stays);
        };
        boost::asio::co_spawn(io, use, boost::asio::detached);
    }
};

} // namespace

TEST_CASE("turns come in the order in which they were asked for") {
    queue at;
    for (const char* name : {"a", "b", "c", "d"})
        at.come(name, milliseconds(10), milliseconds(1000));
    at.time.run();
    CHECK(at.log == "a b c d ");
    CHECK(at.time.elapsed() == milliseconds(1000)); // the last of the waits is called off, not gone
}

TEST_CASE("who waits too long, or is told to stop, gets none and is in nobody's way") {
    queue at;
    std::stop_source stop;
    at.come("a", milliseconds(100), milliseconds(1000));
    at.come("late", milliseconds(10), milliseconds(50));
    at.come("stopped", milliseconds(10), {milliseconds(1000), stop.get_token()});
    at.come("b", milliseconds(10), milliseconds(1000));
    at.time.later(milliseconds(20), [&] { stop.request_stop(); });
    at.time.run();
    CHECK(at.log == "a stopped- late- b ");
}

TEST_CASE("no time is enough for a turn that is free, and for no other") {
    queue at;
    at.come("a", milliseconds(10), milliseconds(0));
    at.come("b", milliseconds(10), milliseconds(0));
    at.time.run();
    CHECK(at.log == "a b- ");
}
