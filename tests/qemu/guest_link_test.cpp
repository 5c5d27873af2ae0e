#include "linux/qmp_guest_link.hpp"
#include "support/qemu_process.hpp"
#include "support/run_coroutine.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace vmplug;
using namespace std::chrono_literals;
using boost::asio::awaitable;

namespace {

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
        const auto watch = link.watch("nic9");
        REQUIRE((co_await link.device_del("nic9", 5s)).has_value());
        // What is no device's, or another's, is no change of this one.
        auto begin = std::chrono::steady_clock::now();
        REQUIRE((co_await other->call("cont", "", 5s)).has_value());
        REQUIRE((co_await other->call("stop", "", 5s)).has_value());
        CHECK(co_await watch->next(300ms) == guest_news::nothing);
        CHECK(since(begin) >= 300ms);
        // A reset completes the unplug.
        begin = std::chrono::steady_clock::now();
        REQUIRE((co_await other->call("system_reset", "", 5s)).has_value());
        CHECK(co_await watch->next(20s) == guest_news::changed);
        CHECK(since(begin) < 15s);
        CHECK((co_await link.look("nic9", 5s)).value() == guest_sight::gone);
        // Nothing is left to ask for, which is what was wanted.
        CHECK((co_await link.device_del("nic9", 5s)).has_value());
    };
    run(test);
}

TEST_CASE("a stop ends what is waited for at once, and the connection goes on") {
    const qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        qmp_guest_link link(co_await connect(qemu, "qmp"));
        const auto executor = co_await boost::asio::this_coro::executor;
        std::stop_source stop;
        boost::asio::steady_timer later(executor, 100ms);
        later.async_wait([&](auto) { stop.request_stop(); });
        const auto watch = link.watch("nic9");
        const auto begin = std::chrono::steady_clock::now();
        const call_limit patient(20s, stop.get_token());
        CHECK(co_await watch->next(patient) == guest_news::nothing);
        // It is asked for already: what is sent may run, and is not waited for.
        const auto looked = co_await link.look("nic9", patient);
        REQUIRE(looked.has_error());
        CHECK(looked.error().code == error_code::cancelled);
        CHECK(since(begin) < 5s);
        CHECK((co_await link.look("nic9", 5s)).value() == guest_sight::gone);
    };
    run(test);
}

TEST_CASE("what one device is watched for is not taken from another's watch") {
    const qemu_process qemu({"-device", "pcie-root-port,id=rp1,chassis=2,slot=2"});
    auto test = [&]() -> awaitable<void> {
        qmp_guest_link link(co_await connect(qemu, "qmp"));
        const auto other = co_await connect(qemu, "pretty");
        std::vector<std::unique_ptr<device_watch>> watches;
        for (const char* id : {"nic1", "nic2"}) {
            const auto arguments = std::string(R"({"driver":"e1000e","bus":"rp)") +
                                   (id[3] == '1' ? "0" : "1") + R"(","id":")" + id + "\"}";
            REQUIRE((co_await link.device_add(arguments, 5s)).has_value());
            watches.push_back(link.watch(id));
            REQUIRE((co_await link.device_del(id, 5s)).has_value());
        }
        REQUIRE((co_await other->call("system_reset", "", 5s)).has_value());
        for (const auto& watch : watches)
            CHECK(co_await watch->next(20s) == guest_news::changed);
        for (const char* id : {"nic1", "nic2"})
            CHECK((co_await link.look(id, 5s)).value() == guest_sight::gone);
    };
    run(test);
}
