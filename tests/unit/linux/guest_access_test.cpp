// Who answers at a monitor, and who holds it: looked up aside, in a process that stays. The monitor
// is a socket of this process, which the real kernel tells of.

#include "host/read_processes.hpp"
#include "linux/process_guests.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <functional>
#include <optional>

#include <unistd.h>

using namespace vmplug;
using boost::asio::awaitable;
using boost::asio::use_awaitable;
using std::chrono::milliseconds;
using stream = boost::asio::local::stream_protocol;

namespace {

/// Holds the worker until it is opened.
class gate {
public:
    void open() {
        open_ = true;
        open_.notify_all();
    }
    void pass() const { open_.wait(false); }

private:
    std::atomic<bool> open_ = false;
};

/// Greets, answers the negotiation, and says no more.
awaitable<void> serve(stream::socket client) {
    const std::string greeting =
        R"({"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":0},"package":""},)"
        R"("capabilities":[]}})"
        "\r\n";
    co_await boost::asio::async_write(client, boost::asio::buffer(greeting), use_awaitable);
    std::string line;
    co_await boost::asio::async_read_until(client, boost::asio::dynamic_buffer(line), '}',
                                           use_awaitable);
    const nlohmann::json reply{{"return", nlohmann::json::object()},
                               {"id", nlohmann::json::parse(line).at("id")}};
    const auto text = reply.dump() + "\r\n";
    co_await boost::asio::async_write(client, boost::asio::buffer(text), use_awaitable);
    char more = 0;
    co_await client.async_read_some(boost::asio::buffer(&more, 1), use_awaitable);
}

/// A guest whose monitor is ours, and those who look for guests.
struct stage {
    std::string directory = "/tmp/vmplug-access-XXXXXX";
    gate closed; ///< destroyed after the worker that it holds
    boost::asio::io_context io;
    open_monitors open;
    process_guests vms;
    std::optional<stream::acceptor> listener;

    explicit stage(bool on_a_thread) : vms(file_tree(), open, on_a_thread) {
        REQUIRE(::mkdtemp(directory.data()) != nullptr);
        listener.emplace(io, stream::endpoint(path()));
    }
    ~stage() {
        closed.open();
        ::unlink(path().c_str());
        ::rmdir(directory.c_str());
    }

    std::string path() const { return directory + "/qmp"; }
    worker& hands() { return vms.access(milliseconds(0)).hands; }

    void answer() {
        auto accept = [this]() -> awaitable<void> {
            auto client = co_await listener->async_accept(use_awaitable);
            co_await serve(std::move(client));
        };
        boost::asio::co_spawn(io, std::move(accept), boost::asio::detached);
    }

    guest_reference guest() const {
        guest_reference found;
        found.text = "web";
        found.identity = read_own_identity(file_tree());
        found.monitors = {"qmp:" + path()};
        return found;
    }

    /// Begins something; returns whether it has come to its end.
    std::shared_ptr<bool> begin(std::function<awaitable<void>()> what) {
        const auto done = std::make_shared<bool>(false);
        boost::asio::co_spawn(io, std::move(what), [done](std::exception_ptr failure) {
            *done = true;
            if (failure) std::rethrow_exception(failure);
        });
        return done;
    }

    /// Whatever can go on goes on, for that long.
    void run(milliseconds time) {
        io.restart();
        io.run_for(time);
    }
    void run_until(const bool& done) {
        for (int i = 0; i < 1000 && !done; ++i)
            run(milliseconds(10));
        REQUIRE(done);
    }

    /// Shows that `what` waits for the worker, with the loop free, and ends when that is.
    void needs_worker(std::function<awaitable<void>()> what) {
        hands().run([this] { closed.pass(); });
        const auto done = begin(std::move(what));
        run(milliseconds(300));
        CHECK_FALSE(*done);
        closed.open();
        run_until(*done);
    }
};

} // namespace

TEST_CASE("who answers at a new connection is found out aside") {
    stage at(true);
    at.answer();
    at.needs_worker([&]() -> awaitable<void> {
        const auto linked = co_await at.vms.connect(at.guest(), milliseconds(5'000));
        REQUIRE_MESSAGE(linked.has_value(), linked.error().text);
        CHECK((*linked)->is_open());
    });
}

TEST_CASE("who answers at a connection that is shared is found out aside, each time") {
    stage at(true);
    at.answer();
    std::unique_ptr<monitor> first;
    const auto connected = at.begin([&]() -> awaitable<void> {
        auto made = co_await connect_monitor(at.guest(), at.vms.access(milliseconds(5'000)));
        REQUIRE_MESSAGE(made.has_value(), made.error().text);
        first = std::move(*made);
    });
    at.run_until(*connected);
    at.needs_worker([&]() -> awaitable<void> {
        const auto shared = co_await connect_monitor(at.guest(), at.vms.access(milliseconds(0)));
        REQUIRE(shared.has_value());
        CHECK((*shared)->descriptor() == first->descriptor());
    });
}

TEST_CASE("another process than the one that is meant is not taken for it") {
    stage at(true);
    at.answer();
    const auto done = at.begin([&]() -> awaitable<void> {
        auto other = at.guest();
        other.identity = *read_identity(file_tree(), ::getppid());
        const auto linked = co_await at.vms.connect(std::move(other), milliseconds(5'000));
        REQUIRE(linked.has_error());
        CHECK(linked.error().code == error_code::vm_unproven);
    });
    at.run_until(*done);
}

TEST_CASE("the process behind an address is found aside") {
    stage at(true);
    at.answer();
    std::unique_ptr<guest_link> link;
    auto guest = at.guest();
    guest.by_address = true;
    guest.identity = {};
    const auto connected = at.begin([&]() -> awaitable<void> {
        auto made = co_await at.vms.connect(guest, milliseconds(5'000));
        REQUIRE_MESSAGE(made.has_value(), made.error().text);
        link = std::move(*made);
    });
    at.run_until(*connected);
    at.needs_worker([&]() -> awaitable<void> {
        const auto found = co_await at.vms.find_process(guest, *link);
        REQUIRE(found.has_value());
        CHECK(guest.identity == read_own_identity(file_tree()));
    });
}

TEST_CASE("who holds a busy monitor is looked for aside") {
    stage at(true);
    at.needs_worker([&]() -> awaitable<void> {
        const auto linked = co_await at.vms.connect(at.guest(), milliseconds(50));
        REQUIRE(linked.has_error());
        CHECK(linked.error().code == error_code::monitor_busy);
    });
}

TEST_CASE("a guest that one command is for is looked for aside") {
    stage at(true);
    at.needs_worker([&]() -> awaitable<void> {
        const auto found = co_await at.vms.find_to_speak("no-such-guest-anywhere");
        CHECK(found.error().code == error_code::vm_not_found);
    });
}

TEST_CASE("one command begins no thread for any of it") {
    stage at(false);
    at.answer();
    const auto done = at.begin([&]() -> awaitable<void> {
        const auto none = co_await at.vms.find_to_speak("no-such-guest-anywhere");
        CHECK(none.has_error());
        auto made = co_await at.vms.connect(at.guest(), milliseconds(5'000));
        REQUIRE_MESSAGE(made.has_value(), made.error().text);
        auto guest = at.guest();
        guest.by_address = true;
        const auto found = co_await at.vms.find_process(guest, **made);
        CHECK(found.has_value());
        const auto shared = co_await connect_monitor(at.guest(), at.vms.access(milliseconds(0)));
        CHECK(shared.has_value());
    });
    at.run_until(*done);
    CHECK_FALSE(at.hands().has_begun());
}
