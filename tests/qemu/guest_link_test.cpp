#include "linux/qmp_guest_link.hpp"
#include "support/qemu_process.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace vmplug;
using namespace std::chrono_literals;
using boost::asio::awaitable;
namespace asio = boost::asio;

namespace {

/// Runs a test's coroutine; a failed REQUIRE in it fails the test.
template <class Test>
void run(Test test) {
    asio::io_context io;
    std::exception_ptr thrown;
    asio::co_spawn(io, test(), [&](std::exception_ptr failure) { thrown = failure; });
    io.run();
    if (thrown) std::rethrow_exception(thrown);
}

awaitable<std::unique_ptr<monitor>> connect(const qemu_process& qemu, const char* name) {
    auto address = *parse_monitor_address("qmp:" + qemu.path(name));
    monitor_options options;
    options.greeting_deadline = 5s;
    auto connected = co_await monitor::connect(std::move(address), options);
    REQUIRE(connected.has_value());
    co_return std::move(*connected);
}

std::chrono::milliseconds since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 begin);
}

} // namespace

TEST_CASE("a device is added, seen, asked to leave, and gone when its event has come") {
    const qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        qmp_guest_link link(co_await connect(qemu, "qmp"));
        const auto other = co_await connect(qemu, "pretty");
        const std::string arguments = R"({"driver":"e1000e","id":"nic9","bus":"rp0"})";
        REQUIRE((co_await link.look("nic9", 5s)).value() == guest_sight::gone);
        REQUIRE((co_await link.device_add(arguments, 5s)).has_value());
        REQUIRE((co_await link.look("nic9", 5s)).value() == guest_sight::added);
        REQUIRE((co_await link.device_add(arguments, 5s)).has_error());
        REQUIRE((co_await link.device_del("nic9", 5s)).has_value());
        // What is no device's, or another's, is no change of this one.
        auto begin = std::chrono::steady_clock::now();
        REQUIRE((co_await other->call("cont", "", 5s)).has_value());
        REQUIRE((co_await other->call("stop", "", 5s)).has_value());
        co_await link.wait_for_change("nic9", 300ms);
        CHECK(since(begin) >= 300ms);
        // A reset completes the unplug.
        begin = std::chrono::steady_clock::now();
        REQUIRE((co_await other->call("system_reset", "", 5s)).has_value());
        co_await link.wait_for_change("nic9", 20s);
        CHECK(since(begin) < 15s);
        CHECK((co_await link.look("nic9", 5s)).value() == guest_sight::gone);
        // Nothing is left to ask for, which is what was wanted.
        CHECK((co_await link.device_del("nic9", 5s)).has_value());
    };
    run(test);
}
