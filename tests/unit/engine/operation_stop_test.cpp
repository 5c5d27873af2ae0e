#include "engine/operation_stop.hpp"
#include "support/virtual_clock.hpp"

#include <doctest/doctest.h>

#include <memory>

using namespace vmplug;
using namespace vmplug::testing;
using std::chrono::milliseconds;

TEST_CASE("the end of its time stops an operation, and says so") {
    boost::asio::io_context io;
    virtual_clock time(io);
    operation_stop stop({});
    CHECK_FALSE(stop.token().stop_requested());
    stop.limit(io.get_executor(), time, milliseconds(500));
    time.run();
    CHECK(stop.token().stop_requested());
    CHECK(stop.why("here").code == error_code::timed_out);
    CHECK(stop.why("here").where == "here");
}

TEST_CASE("a caller who stops it first is the reason") {
    boost::asio::io_context io;
    virtual_clock time(io);
    std::stop_source caller;
    operation_stop stop(caller.get_token());
    stop.limit(io.get_executor(), time, milliseconds(500));
    time.later(milliseconds(100), [&] { caller.request_stop(); });
    time.run();
    CHECK(stop.token().stop_requested());
    CHECK(stop.why("here").code == error_code::cancelled);
}

TEST_CASE("an operation that has ended leaves nobody waiting") {
    boost::asio::io_context io;
    virtual_clock time(io);
    auto stop = std::make_unique<operation_stop>(std::stop_token());
    stop->limit(io.get_executor(), time, milliseconds(3'600'000));
    const auto token = stop->token();
    io.poll();
    stop.reset();
    io.restart();
    CHECK(io.poll() > 0); // the watch has ended, without the time
    CHECK_FALSE(token.stop_requested());
}
