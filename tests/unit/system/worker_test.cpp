#include "system/worker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>

using namespace vmplug;
using boost::asio::awaitable;

namespace {

/// Holds whoever comes to it until it is opened.
class gate {
public:
    void open() {
        open_ = true;
        open_.notify_all();
    }
    void pass() {
        comers_.fetch_add(1);
        comers_.notify_all();
        open_.wait(false);
    }
    void wait_for_comer() { comers_.wait(0); }

private:
    std::atomic<bool> open_ = false;
    std::atomic<int> comers_ = 0;
};

awaitable<void> ask(shared_reading<int>& from, std::vector<int>& into) {
    into.push_back(co_await from.ask());
}

} // namespace

TEST_CASE("work is done on another thread, without signals, and its caller goes on where it was") {
    boost::asio::io_context io{1}; // as a program has it that runs it on one thread
    worker hands;
    CHECK_FALSE(hands.has_begun());
    std::thread::id there;
    bool hears = true;
    const auto work = [&] {
        sigset_t blocked;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        hears = ::sigismember(&blocked, SIGINT) == 0 || ::sigismember(&blocked, SIGTERM) == 0;
        there = std::this_thread::get_id();
        return 7;
    };
    int seen = 0;
    std::thread::id back;
    const auto run = [&]() -> awaitable<void> {
        seen = co_await off_the_loop(hands, work);
        back = std::this_thread::get_id();
    };
    boost::asio::co_spawn(io, run(), boost::asio::detached);
    io.run();
    CHECK(seen == 7);
    CHECK(there != std::this_thread::get_id());
    CHECK(back == std::this_thread::get_id());
    CHECK_FALSE(hears);
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    CHECK(::sigismember(&blocked, SIGINT) == 0);
}

TEST_CASE("where there is no thread the work is done at once") {
    boost::asio::io_context io;
    worker hands(false);
    std::thread::id there;
    const auto work = [&] {
        there = std::this_thread::get_id();
        return 0;
    };
    boost::asio::co_spawn(io, off_the_loop(hands, work), boost::asio::detached);
    io.run();
    CHECK(there == std::this_thread::get_id());
    CHECK_FALSE(hands.has_begun());
}

TEST_CASE("what work throws is thrown where it is waited for") {
    boost::asio::io_context io;
    worker hands;
    std::string told;
    const auto work = []() -> int { throw std::runtime_error("too many open files"); };
    const auto run = [&]() -> awaitable<void> {
        try {
            co_await off_the_loop(hands, work);
        } catch (const std::runtime_error& failure) {
            told = failure.what();
        }
    };
    boost::asio::co_spawn(io, run(), boost::asio::detached);
    io.run();
    CHECK(told == "too many open files");
}

TEST_CASE(
    "who asks before a reading begins shares it, who asks while it is under way has the next") {
    boost::asio::io_context io;
    gate first;
    std::atomic<int> readings = 0;
    worker hands;
    shared_reading<int> reading(hands, [&] {
        const int number = ++readings;
        if (number == 1) first.pass();
        return number;
    });
    std::vector<int> early;
    std::vector<int> late;
    boost::asio::co_spawn(io, ask(reading, early), boost::asio::detached);
    io.poll();
    first.wait_for_comer();
    for (int i = 0; i < 3; ++i)
        boost::asio::co_spawn(io, ask(reading, late), boost::asio::detached);
    io.poll();
    CHECK(early.empty());
    first.open();
    io.run();
    CHECK(early == std::vector{1});
    CHECK(late == std::vector{2, 2, 2});
    CHECK(readings == 2);
}

TEST_CASE("a caller that goes away is not told, and its work is finished") {
    gate first;
    std::atomic<bool> finished = false;
    {
        worker hands;
        auto io = std::make_unique<boost::asio::io_context>();
        const auto work = [&] {
            first.pass();
            finished = true;
            return 0;
        };
        boost::asio::co_spawn(*io, off_the_loop(hands, work), boost::asio::detached);
        io->poll();
        first.wait_for_comer();
        io.reset();
        first.open();
    }
    CHECK(finished);
}

TEST_CASE("the owner goes when what its thread is at has ended") {
    boost::asio::io_context io;
    gate first;
    std::atomic<int> done = 0;
    std::thread opener;
    {
        worker hands;
        const auto work = [&] {
            first.pass();
            return ++done;
        };
        for (int i = 0; i < 3; ++i)
            boost::asio::co_spawn(io, off_the_loop(hands, work), boost::asio::detached);
        io.poll();
        first.wait_for_comer();
        // Whether the others are begun by then is chance.
        opener = std::thread([&] { first.open(); });
    }
    opener.join();
    CHECK(done >= 1);
    io.restart();
    io.poll();
}
