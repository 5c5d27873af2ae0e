#include "monitor/typed_events.hpp"
#include "support/qemu_process.hpp"
#include "support/run_coroutine.hpp"

#include <vmplug/monitor.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>

using namespace vmplug;
using namespace std::chrono_literals;
using boost::asio::awaitable;
using nlohmann::json;
namespace asio = boost::asio;

namespace {

monitor_address address(const std::string& path) {
    return *parse_monitor_address("qmp:" + path);
}

monitor_options patient(std::chrono::milliseconds deadline = 5s) {
    monitor_options options;
    options.greeting_deadline = deadline;
    return options;
}

/// A client that connects and says nothing.
asio::local::stream_protocol::socket hold(asio::io_context& io, const std::string& path) {
    asio::local::stream_protocol::socket socket(io);
    socket.connect(asio::local::stream_protocol::endpoint(path));
    return socket;
}

} // namespace

TEST_CASE("commands, refusals, and replies of 200 kB, compact and pretty") {
    const qemu_process qemu;
    for (const char* name : {"qmp", "pretty"}) {
        const auto path = qemu.path(name);
        auto test = [&]() -> awaitable<void> {
            auto connected = co_await monitor::connect(address(path), patient());
            REQUIRE(connected.has_value());
            CHECK((*connected)->version().starts_with("7."));
            const auto status = co_await (*connected)->call("query-status", "", 5s);
            REQUIRE(status.has_value());
            CHECK(status->at("status") == "prelaunch");
            const auto schema = co_await (*connected)->call("query-qmp-schema", "", 20s);
            REQUIRE(schema.has_value());
            CHECK(schema->dump().size() > 100'000);
            const auto refused =
                co_await (*connected)->call("device_del", R"({"id":"nothing"})", 5s);
            REQUIRE(refused.has_error());
            CHECK(refused.error().code == error_code::command_failed);
            CHECK(refused.error().text == "DeviceNotFound: Device 'nothing' not found");
            const auto unknown = co_await (*connected)->call("no-such-command", "", 5s);
            REQUIRE(unknown.has_error());
            CHECK(unknown.error().text.starts_with("CommandNotFound"));
        };
        run(test);
    }
}

TEST_CASE("fifty calls at once are all answered, each with its own answer") {
    const qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        auto connected = co_await monitor::connect(address(qemu.path("qmp")), patient());
        REQUIRE(connected.has_value());
        std::vector<pending_call> calls;
        for (int i = 0; i < 50; ++i)
            calls.push_back((*connected)->start(i % 2 ? "query-status" : "query-name", ""));
        for (int i = 0; i < 50; ++i) {
            const auto reply = co_await calls[static_cast<std::size_t>(i)].wait(10s);
            REQUIRE(reply.has_value());
            CHECK(reply->contains(i % 2 ? "status" : "name"));
        }
    };
    run(test);
}

TEST_CASE("a monitor that another client holds is busy, at each depth of its backlog") {
    const qemu_process qemu;
    asio::io_context io;
    const auto path = qemu.path("qmp");
    const auto holder = hold(io, path);
    auto test = [&]() -> awaitable<void> {
        auto connected = co_await monitor::connect(address(path), patient(200ms));
        REQUIRE(connected.has_error());
        CHECK(connected.error().code == error_code::monitor_busy);
    };
    // A client that gave up stays in the backlog until QEMU accepts it. The third finds it full:
    // the kernel answers EAGAIN, which Asio would take for success.
    for (int i = 0; i < 4; ++i)
        run(test);
}

TEST_CASE("nobody, no socket, and not a monitor are told apart") {
    auto nobody = []() -> awaitable<void> {
        auto connected = co_await monitor::connect(address("/tmp/vmplug-no-such"), patient());
        REQUIRE(connected.has_error());
        CHECK(connected.error().code == error_code::no_monitor);
        auto file = co_await monitor::connect(address("/etc/hostname"), patient());
        REQUIRE(file.has_error());
        CHECK(file.error().code == error_code::no_monitor);
    };
    run(nobody);
    const std::string path = "/tmp/vmplug-test-" + std::to_string(::getpid()) + ".sock";
    auto imposter = [&]() -> awaitable<void> {
        asio::local::stream_protocol::acceptor acceptor(co_await asio::this_coro::executor, path);
        auto speak = [&]() -> awaitable<void> {
            auto peer = co_await acceptor.async_accept(asio::use_awaitable);
            const std::string prompt = "QEMU 7.2 monitor\r\n(qemu) ";
            co_await peer.async_send(asio::buffer(prompt), asio::use_awaitable);
        };
        asio::co_spawn(co_await asio::this_coro::executor, speak, asio::detached);
        auto connected = co_await monitor::connect(address(path), patient());
        REQUIRE(connected.has_error());
        CHECK(connected.error().code == error_code::protocol_violation);
    };
    run(imposter);
    ::unlink(path.c_str());
}

TEST_CASE("events come to every subscriber, and a slow one loses the oldest") {
    const qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        auto options = patient();
        options.event_queue_max = 2;
        auto connected = co_await monitor::connect(address(qemu.path("qmp")), options);
        REQUIRE(connected.has_value());
        auto first = (*connected)->subscribe();
        auto second = (*connected)->subscribe();
        for (const char* command : {"cont", "stop", "cont", "stop"})
            REQUIRE((co_await (*connected)->call(command, "", 5s)).has_value());
        const auto seen = co_await first.next(1s);
        REQUIRE(seen.has_value());
        REQUIRE(*seen);
        CHECK((*seen)->name == "RESUME");
        CHECK((*seen)->timestamp_us > 1'600'000'000'000'000);
        CHECK(first.dropped() == 2);
        CHECK(second.dropped() == 2);
        co_await first.next(1s);
        const auto none = co_await first.next(50ms);
        REQUIRE(none.has_value());
        CHECK(!*none);
    };
    run(test);
}

TEST_CASE("an event is read as it was parsed, or as text, by each subscriber as it likes") {
    const qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        auto connected = co_await monitor::connect(address(qemu.path("qmp")), patient());
        REQUIRE(connected.has_value());
        auto typed = (*connected)->subscribe();
        auto text = (*connected)->subscribe();
        for (const char* command : {"cont", "system_reset", "stop"})
            REQUIRE((co_await (*connected)->call(command, "", 5s)).has_value());
        const std::vector<qapi::event> wanted{
            qapi::resume{}, qapi::reset{false, "host-qmp-system-reset"}, qapi::stop{}};
        std::vector<qapi::event> seen;
        while (seen.size() < wanted.size()) {
            const auto event = co_await typed_events::next(typed, 5s);
            REQUIRE(event.has_value());
            REQUIRE(*event);
            seen.push_back(**event);
        }
        CHECK(seen == wanted);
        const auto none = co_await typed_events::next(typed, 50ms);
        REQUIRE(none.has_value());
        CHECK(!*none);
        CHECK((**co_await text.next(1s)).data.empty());
        CHECK(json::parse((**co_await text.next(1s)).data).at("guest") == false);
        connected->reset();
        const auto gone = co_await typed_events::next(typed, 1s);
        REQUIRE(gone.has_error());
        CHECK(gone.error().code == error_code::monitor_gone);
    };
    run(test);
}

TEST_CASE("a call that outlives its deadline is detached and its late answer swallowed") {
    const qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        auto connected = co_await monitor::connect(address(qemu.path("qmp")), patient());
        REQUIRE(connected.has_value());
        qemu.send(SIGSTOP);
        const auto late = co_await (*connected)->call("query-status", "", 100ms);
        REQUIRE(late.has_error());
        CHECK(late.error().code == error_code::timed_out);
        qemu.send(SIGCONT);
        const auto next = co_await (*connected)->call("query-name", "", 5s);
        REQUIRE(next.has_value());
        CHECK(next->at("name") == "test");
    };
    run(test);
}

TEST_CASE("a dead client's command is not answered to the next client") {
    const qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        for (int i = 0; i < 20; ++i) {
            auto dying = co_await monitor::connect(address(qemu.path("qmp")), patient());
            REQUIRE(dying.has_value());
            const auto abandoned = (*dying)->start("query-qmp-schema", "");
            dying->reset();
            auto connected = co_await monitor::connect(address(qemu.path("qmp")), patient());
            REQUIRE(connected.has_value());
            const auto name = co_await (*connected)->call("query-name", "", 5s);
            REQUIRE(name.has_value());
            CHECK(name->at("name") == "test");
        }
    };
    run(test);
}

TEST_CASE("a QEMU that dies leaves what was sent unknown, and what was not sent undone") {
    qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        auto connected = co_await monitor::connect(address(qemu.path("qmp")), patient());
        REQUIRE(connected.has_value());
        auto events = (*connected)->subscribe();
        qemu.send(SIGSTOP);
        auto sent = (*connected)->start("query-status", "");
        const auto waited = co_await events.next(50ms);
        REQUIRE(waited.has_value());
        qemu.end();
        const auto lost = co_await sent.wait(5s);
        REQUIRE(lost.has_error());
        CHECK(lost.error().code == error_code::connection_lost);
        const auto after = co_await (*connected)->call("query-status", "", 1s);
        REQUIRE(after.has_error());
        CHECK(after.error().code == error_code::monitor_gone);
        CHECK(!(*connected)->is_open());
        CHECK((co_await events.next(1s)).has_error());
    };
    run(test);
}

TEST_CASE("a file descriptor goes with its command") {
    const qemu_process qemu;
    auto test = [&]() -> awaitable<void> {
        auto connected = co_await monitor::connect(address(qemu.path("qmp")), patient());
        REQUIRE(connected.has_value());
        const int file = ::open("/dev/null", O_RDWR);
        std::vector<pending_call> calls;
        calls.push_back((*connected)->start("getfd", R"({"fdname":"a"})", file));
        calls.push_back((*connected)->start("getfd", R"({"fdname":"b"})", file));
        calls.push_back((*connected)->start("closefd", R"({"fdname":"a"})"));
        calls.push_back((*connected)->start("closefd", R"({"fdname":"b"})"));
        for (auto& each : calls)
            CHECK((co_await each.wait(5s)).has_value());
        const auto without = co_await (*connected)->call("getfd", R"({"fdname":"c"})", 5s);
        CHECK(without.has_error());
        ::close(file);
    };
    run(test);
}

TEST_CASE("addresses of monitors") {
    CHECK(format_monitor_address(*parse_monitor_address("tcp:[::1]:4444")) == "tcp:[::1]:4444");
    CHECK(parse_monitor_address("qmp:" + std::string(108, 'x')).has_value());
    CHECK(parse_monitor_address("qmp:" + std::string(4096, 'x')).has_error());
    CHECK(parse_monitor_address("qmp:@" + std::string(108, 'x')).has_error());
    CHECK(format_monitor_address(*parse_monitor_address("hmp:@web")) == "hmp:@web");
    for (const char* bad :
         {"tcp:host", "tcp::1", "tcp:host:0", "tcp:host:65536", "tcp:host:1x", "qmp:"})
        CHECK(parse_monitor_address(bad).has_error());
}
