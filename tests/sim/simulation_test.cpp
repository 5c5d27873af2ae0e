// Whole runs from a seed: the real engine in two processes, two guests, four devices, and
// everything goes wrong. Time is virtual.
//
//   VMPLUG_SIM_RUNS=N    how many runs (default 3000; a night: 1000000)
//   VMPLUG_SIM_SEED=N    the first seed; with VMPLUG_SIM_RUNS=1 it replays one run exactly

#include "sim/simulation.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <cstdlib>

using namespace vmplug;
using namespace vmplug::testing;

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::milliseconds;

std::uint64_t number_from(const char* name, std::uint64_t fallback) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : fallback;
}

} // namespace

TEST_CASE("two processes, two guests, four devices, and everything goes wrong") {
    const auto runs = number_from("VMPLUG_SIM_RUNS", 3000);
    const auto first = number_from("VMPLUG_SIM_SEED", 1);
    tally all;
    int violations = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < runs; ++i) {
        simulation one(first + i);
        const auto wrong = one.run();
        all.operations += one.counted().operations;
        all.deaths += one.counted().deaths;
        all.repeats += one.counted().repeats;
        all.stops += one.counted().stops;
        all.power_cuts += one.counted().power_cuts;
        for (const auto& [how, count] : one.counted().ended)
            all.ended[how] += count;
        if (wrong.empty()) continue;
        FAIL_CHECK("VMPLUG_SIM_RUNS=1 VMPLUG_SIM_SEED=" << first + i << ": " << wrong
                                                        << one.story());
        if (++violations == 10) break;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::string ended;
    for (const auto& [how, count] : all.ended)
        ended += ", " + std::to_string(count) + " " + std::string(outcome_name(how));
    MESSAGE(runs << " runs, " << all.operations << " operations (" << all.repeats << " repeated, "
                 << all.stops << " stopped), " << all.deaths << " deaths, " << all.power_cuts
                 << " power cuts" << ended << ", " << violations << " violations, "
                 << static_cast<long>(static_cast<double>(runs) / took.count() * 60)
                 << " runs a minute");
}

TEST_CASE("a seed tells the same story twice") {
    for (std::uint64_t seed = 1; seed < 20; ++seed) {
        simulation once(seed);
        simulation again(seed);
        CHECK(once.run() == again.run());
        CHECK(once.story() == again.story());
        CHECK(once.story().size() > 100);
    }
}

TEST_CASE("the invariants notice what is broken on purpose") {
    const std::pair<mutation, const char*> mutations[] = {
        {mutation::order_swapped, "order swapped"},
        {mutation::fsync_missing, "fsync missing"},
        {mutation::revert_lies, "a revert that lies"},
        {mutation::lease_given_back, "lease given back early"},
        {mutation::late_effect, "late effect ignored"},
        {mutation::stale_saved, "stale record saved"},
        {mutation::company_hidden, "what others need is not seen"},
    };
    for (const auto& [broken, name] : mutations) {
        std::string noticed;
        std::uint64_t seed = 0;
        while (noticed.empty() && seed < 3000)
            noticed = simulation(++seed, broken).run();
        MESSAGE(std::string(name) << ": noticed in run " << seed << ": " << noticed);
        CHECK_FALSE(noticed.empty());
    }
}

TEST_CASE("500 attaches to 500 guests at once") {
    constexpr int count = 500;
    asio::io_context io;
    virtual_clock time(io);
    fake_world outside(time);
    outside.latency = [] { return milliseconds(3); };
    simulated_disk disk;
    simulated_locks locks;
    for (int i = 0; i < count; ++i) {
        char address[16];
        std::snprintf(address, sizeof address, "0000:%02x:%02x.0", i / 32 + 1, i % 32);
        outside.devices[address] = {
            "e1000e", {{"eth" + std::to_string(1000 + i), "52:54:00:00:00:01"}}, i, "e1000e", ""};
        outside.guests["vm" + std::to_string(i)].identity = {"boot", 1000 + i, 1};
    }
    simulated_process one(outside, disk, locks, 1);
    const auto attach_all = [&](int first, int last) {
        int done = 0;
        const auto begin = time.elapsed();
        auto address = std::next(outside.devices.begin(), first);
        for (int i = first; i < last; ++i, ++address) {
            auto attach = [&, device = address->first,
                           guest = "vm" + std::to_string(i)]() -> awaitable<void> {
                use_case running(one.shared(), {});
                attach_request request;
                request.id = "nic0";
                const auto report = co_await running.attach(guest, device, request);
                if (report.ended() == outcome::done) ++done;
            };
            asio::co_spawn(io, std::move(attach), asio::detached);
        }
        time.run();
        CHECK(done == last - first);
        return time.elapsed() - begin;
    };
    const auto alone = attach_all(0, 1);
    const auto begin = std::chrono::steady_clock::now();
    const auto all = attach_all(1, count);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    MESSAGE("one: " << alone.count() << " ms of virtual time, 499 at once: " << all.count()
                    << " ms, in " << took.count() << " s");
    CHECK(all <= alone * 3 / 2);
}
