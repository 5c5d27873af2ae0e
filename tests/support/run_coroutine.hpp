#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>

/// Runs a test's coroutine; a failed REQUIRE in it fails the test.
template <class Test>
void run(Test test) {
    boost::asio::io_context io;
    std::exception_ptr thrown;
    boost::asio::co_spawn(io, test(), [&](std::exception_ptr failure) { thrown = failure; });
    io.run();
    if (thrown) std::rethrow_exception(thrown);
}
