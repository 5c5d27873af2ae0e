#include <vmplug/reconnect_policy.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace vmplug;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// A guest's monitor in virtual time, and who obeys the policy.
struct attempts {
    reconnect_policy policy;
    reconnect_policy::time_point now{};
    std::vector<milliseconds> pauses; ///< before each

    static error refused() { return {error_code::no_monitor, "qmp:/run/web", "refused", {}}; }

    void wait() {
        const auto next = policy.next();
        REQUIRE(std::holds_alternative<reconnect_policy::try_at>(next));
        const auto due = std::max(std::get<reconnect_policy::try_at>(next).when, now);
        pauses.push_back(std::chrono::duration_cast<milliseconds>(due - now));
        now = due;
    }
    void fail() {
        wait();
        policy.lost(refused(), now);
    }
    void connect(milliseconds for_so_long) {
        wait();
        policy.connected(now);
        now += for_so_long;
        policy.lost({error_code::connection_lost, "qmp:/run/web", "closed", {}}, now);
    }
};

std::vector<milliseconds> ms(std::initializer_list<int> counts) {
    return {counts.begin(), counts.end()};
}

} // namespace

TEST_CASE("the first attempt is made at once, the next ones ever later, up to a bound") {
    attempts at;
    for (int i = 0; i < 10; ++i)
        at.fail();
    CHECK(at.pauses == ms({0, 500, 1'000, 2'000, 4'000, 8'000, 16'000, 30'000, 30'000, 30'000}));
}

TEST_CASE("after a connection that held it begins anew, at once") {
    attempts at;
    for (int i = 0; i < 10; ++i)
        at.fail();
    at.pauses.clear();
    at.connect(seconds(10));
    at.fail();
    at.fail();
    CHECK(at.pauses == ms({30'000, 0, 500}));
}

TEST_CASE("a server that accepts and closes is asked no oftener than one that does not listen") {
    attempts closes;
    attempts refuses;
    while (closes.now - reconnect_policy::time_point() < hours(1))
        closes.connect(milliseconds(1));
    while (refuses.now - reconnect_policy::time_point() < hours(1))
        refuses.fail();
    CHECK(closes.pauses.size() <= refuses.pauses.size());
    CHECK(closes.pauses.size() < 130);
    CHECK(closes.pauses.back() == seconds(30));
}

TEST_CASE("what somebody tries before its time puts nothing off") {
    attempts at;
    at.fail();
    for (int i = 0; i < 10; ++i)
        at.policy.lost(attempts::refused(), at.now + milliseconds(i));
    at.fail();
    CHECK(at.pauses == ms({0, 500}));
}

TEST_CASE("who connected before its time is connected") {
    attempts at;
    for (int i = 0; i < 5; ++i)
        at.fail();
    at.policy.connected(at.now + milliseconds(1));
    CHECK(at.policy.is_connected());
    // There is one to be had now, whatever would have been waited for.
    const auto next = at.policy.next();
    REQUIRE(std::holds_alternative<reconnect_policy::try_at>(next));
    CHECK(std::get<reconnect_policy::try_at>(next).when <= at.now + milliseconds(1));
    at.policy.lost(attempts::refused(), at.now + hours(1));
    CHECK_FALSE(at.policy.is_connected());
    at.now += hours(1);
    at.fail();
    CHECK(at.pauses.back() == milliseconds(0));
}

TEST_CASE("the end of the process is the end of it, and says what was lost before") {
    attempts at;
    const auto why = [&] {
        const auto next = at.policy.next();
        REQUIRE(std::holds_alternative<reconnect_policy::give_up>(next));
        return std::get<reconnect_policy::give_up>(next).why;
    };
    at.fail();
    at.policy.ended();
    CHECK(why().code == error_code::monitor_gone);
    CHECK(why().where == "qmp:/run/web");
    CHECK(why().text == "its process has ended; before that: refused");
    at.policy.connected(at.now);
    CHECK(why().code == error_code::monitor_gone);
    at.policy = reconnect_policy();
    at.policy.ended();
    CHECK(why().text == "its process has ended");
}

TEST_CASE("another pace") {
    attempts at;
    at.policy = reconnect_policy({milliseconds(100), milliseconds(300), milliseconds(50)});
    for (int i = 0; i < 4; ++i)
        at.fail();
    at.connect(milliseconds(50));
    at.fail();
    CHECK(at.pauses == ms({0, 100, 200, 300, 300, 0}));
}
