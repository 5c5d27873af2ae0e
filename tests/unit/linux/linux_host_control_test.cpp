#include "host/read_processes.hpp"
#include "linux/linux_host_control.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmplug;
using boost::asio::awaitable;
using std::chrono::milliseconds;

TEST_CASE("a process of which nothing can be read has not ended") {
    std::string directory = "/tmp/vmplug-host-XXXXXX";
    REQUIRE(::mkdtemp(directory.data()) != nullptr);
    std::filesystem::create_directories(directory + "/proc/77");
    linux_host_control host{file_tree(directory)};
    CHECK(host.is_alive({"boot", 77, 5}));
    std::filesystem::remove(directory + "/proc/77");
    CHECK_FALSE(host.is_alive({"boot", 77, 5}));
    std::filesystem::remove_all(directory);
}

TEST_CASE("a write that hangs is given up at its deadline, and nobody waits for its child") {
    std::string directory = "/tmp/vmplug-host-XXXXXX";
    REQUIRE(::mkdtemp(directory.data()) != nullptr);
    const auto path = directory + "/fifo";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    boost::asio::io_context io;
    linux_host_control host{file_tree()};
    bool given_up = false;
    int ticks = 0;
    const auto write = [&]() -> awaitable<void> {
        const auto done = co_await host.write(path, "x", milliseconds(300));
        REQUIRE(done.has_error());
        CHECK(done.error().code == error_code::host_stuck);
        given_up = true;
    };
    // Whatever else runs in this process goes on meanwhile.
    const auto tick = [&]() -> awaitable<void> {
        boost::asio::steady_timer timer(io);
        while (!given_up) {
            ++ticks;
            timer.expires_after(milliseconds(10));
            co_await timer.async_wait(boost::asio::use_awaitable);
        }
    };
    boost::asio::co_spawn(io, write, boost::asio::detached);
    boost::asio::co_spawn(io, tick, boost::asio::detached);
    const auto begin = std::chrono::steady_clock::now();
    io.run_for(std::chrono::seconds(20));
    CHECK(given_up);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(15));
    CHECK(ticks > 3);
    // The child is still at it: it is left to the kernel, and not killed.
    CHECK(::waitpid(-1, nullptr, WNOHANG) == 0);
    const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    CHECK(::waitpid(-1, nullptr, 0) > 0);
    ::close(reader);
    std::filesystem::remove_all(directory);
}

TEST_CASE("a process runs when it is that very process: neither its pid alone nor a zombie is") {
    const file_tree files;
    linux_host_control host{files};
    const auto self = read_own_identity(files);
    CHECK(host.is_alive(self));
    auto other = self;
    ++other.start_time;
    CHECK_FALSE(host.is_alive(other));
    other = self;
    other.boot_id = "00000000-0000-0000-0000-000000000000";
    CHECK_FALSE(host.is_alive(other));
    const auto child = ::fork();
    if (child == 0) ::_exit(0);
    const auto born = read_identity(files, child);
    REQUIRE(born.has_value());
    siginfo_t ended{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
    CHECK_FALSE(host.is_alive(*born));
    CHECK(::waitpid(child, nullptr, 0) == child);
    CHECK_FALSE(host.is_alive(*born));
}
