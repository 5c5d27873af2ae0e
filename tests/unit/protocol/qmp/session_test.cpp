#include "qmp/session.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace vmplug;
using nlohmann::json;

namespace {

constexpr const char* hello = R"({"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7},)"
                              R"("package":"x"},"capabilities":["oob"]}})";
constexpr const char* old_hello =
    R"({"QMP":{"version":{"qemu":{"micro":0,"minor":14,"major":0}},"capabilities":[]}})";
const std::string secret = "0123456789abcdef";

qmp::session negotiated(const char* greeting = hello) {
    qmp::session session(secret);
    session.receive(greeting);
    REQUIRE(session.next_write());
    session.receive(R"({"return":{},"id":")" + secret + "\"}");
    REQUIRE(std::holds_alternative<qmp::ready>(*session.next_output()));
    return session;
}

template <class T>
T expect(qmp::session& session) {
    auto output = session.next_output();
    REQUIRE(output);
    REQUIRE(std::holds_alternative<T>(*output));
    return std::get<T>(std::move(*output));
}

/// How often what it has to tell says that it is over.
int count_ends(qmp::session& session) {
    int ends = 0;
    while (const auto output = session.next_output())
        ends += std::holds_alternative<qmp::closed>(*output) ? 1 : 0;
    return ends;
}

std::string answer(qmp::call_number call, const char* value = "{}") {
    return std::string("{\"return\":") + value + ",\"id\":" + std::to_string(call) + "}";
}

} // namespace

TEST_CASE("negotiation enables out-of-band execution where it is offered") {
    qmp::session session(secret);
    CHECK(!session.next_write());
    session.receive(hello);
    CHECK(session.peer()->version == "7.2.22");
    CHECK(
        session.next_write()->text ==
        R"({"execute":"qmp_capabilities","arguments":{"enable":["oob"]},"id":"0123456789abcdef"})");
    qmp::session old(secret);
    old.receive(old_hello);
    CHECK(old.next_write()->text == R"({"execute":"qmp_capabilities","id":"0123456789abcdef"})");
}

TEST_CASE("a dead client's late answer is not taken for ours") {
    qmp::session session(secret);
    session.receive(hello);
    session.next_write();
    const auto call = session.call("query-status", "");
    session.receive(
        R"({"return":{"late":true},"id":1}{"error":{"class":"GenericError","desc":"x"}})");
    session.receive(R"({"event":"STOP","timestamp":{"seconds":1,"microseconds":2}})");
    CHECK(!session.next_output());
    CHECK(!session.next_write());
    session.receive(R"({"return":{},"id":")" + secret + "\"}");
    expect<qmp::ready>(session);
    CHECK(session.next_write()->text == R"({"execute":"query-status","id":1})");
    session.receive(answer(call, R"({"status":"running"})"));
    CHECK(expect<qmp::completed>(session).answer->at("status") == "running");
}

TEST_CASE("a refusal carries QEMU's class and words verbatim") {
    auto session = negotiated();
    const auto call = session.call("device_del", R"({"id":"x"})");
    CHECK(session.next_write()->text ==
          R"({"execute":"device_del","arguments":{"id":"x"},"id":1})");
    session.receive(R"({"error":{"class":"DeviceNotFound","desc":"Device 'x' not found"},"id":1})");
    const auto done = expect<qmp::completed>(session);
    CHECK(done.call == call);
    CHECK(done.answer.error().code == error_code::command_failed);
    CHECK(done.answer.error().text == "DeviceNotFound: Device 'x' not found");
}

TEST_CASE("events come before, between and after replies, with their time") {
    auto session = negotiated();
    const auto call = session.call("system_reset", "");
    session.next_write();
    session.receive(
        R"({"timestamp":{"seconds":3,"microseconds":4},"event":"RESET","data":{"g":1}})" +
        answer(call) + R"({"event":"STOP"})");
    const auto reset = expect<qmp::event>(session);
    CHECK(reset.name == "RESET");
    CHECK(reset.data == json{{"g", 1}});
    CHECK(reset.timestamp_us == 3'000'004);
    expect<qmp::completed>(session);
    CHECK(expect<qmp::event>(session).name == "STOP");
}

TEST_CASE("no more than eight in-band calls are at QEMU; out-of-band ones pass them") {
    auto session = negotiated();
    for (int i = 0; i < 10; ++i)
        session.call("a", "");
    for (int i = 0; i < 8; ++i)
        CHECK(session.next_write());
    CHECK(!session.next_write());
    session.call("migrate-pause", "", {true, -1});
    CHECK(session.next_write()->text == R"({"exec-oob":"migrate-pause","id":11})");
    CHECK(!session.next_write());
    session.receive(answer(3));
    CHECK(session.next_write()->text == R"({"execute":"a","id":9})");
    CHECK(!session.next_write());
}

TEST_CASE("one file descriptor is in flight at a time, and the order is kept") {
    auto session = negotiated();
    session.call("getfd", R"({"fdname":"a"})", {false, 5});
    session.call("getfd", R"({"fdname":"b"})", {false, 6});
    session.call("query-status", "");
    CHECK(session.next_write()->descriptor == 5);
    CHECK(!session.next_write());
    session.receive(answer(1));
    CHECK(session.next_write()->descriptor == 6);
    CHECK(session.next_write()->descriptor == -1);
}

TEST_CASE("a call that was given up is answered to nobody and frees its place late") {
    auto session = negotiated();
    for (int i = 0; i < 9; ++i)
        session.call("a", "");
    for (int i = 0; i < 8; ++i)
        session.next_write();
    CHECK(session.forget(1));
    CHECK(!session.next_write());
    session.receive(answer(1));
    CHECK(!session.next_output());
    CHECK(session.next_write());
    session.call("never sent", "");
    CHECK(!session.forget(10));
    session.receive(answer(2));
    CHECK(!session.next_write());
}

TEST_CASE("a disconnect tells what may have run from what has not") {
    auto session = negotiated();
    session.call("sent", "");
    session.next_write();
    session.call("given up", "");
    session.next_write();
    session.forget(2);
    session.call("queued", "");
    session.disconnect({error_code::monitor_gone, "m", "end of file", {}});
    CHECK(expect<qmp::completed>(session).answer.error().code == error_code::connection_lost);
    CHECK(expect<qmp::completed>(session).answer.error().code == error_code::monitor_gone);
    CHECK(expect<qmp::closed>(session).why.text == "end of file");
    CHECK(!session.next_output());
    session.call("afterwards", "");
    CHECK(expect<qmp::completed>(session).answer.error().code == error_code::monitor_gone);
    session.receive(answer(1));
    CHECK(!session.next_output());
}

TEST_CASE("whatever breaks the protocol ends the session, at each stage") {
    const std::vector<std::string> stages{hello, R"({"return":{},"id":")" + secret + "\"}"};
    const std::vector<std::string> breaks{
        "(qemu) ", "{\"a\":1}", "{\"QMP\":", "{]}", "{\"return\":{},\"id\":77}", hello};
    for (std::size_t stage = 0; stage <= stages.size(); ++stage)
        for (const auto& bad : breaks) {
            qmp::session session(secret);
            for (std::size_t i = 0; i < stage; ++i)
                session.receive(stages[i]);
            while (session.next_write()) {
            }
            const bool greets = stage == 0 && bad == hello;
            const bool late_reply = stage == 1 && bad.starts_with("{\"return\"");
            const bool unfinished = bad == "{\"QMP\":";
            session.receive(bad);
            CAPTURE(stage);
            CAPTURE(bad);
            const bool goes_on = greets || late_reply || unfinished;
            CHECK(count_ends(session) == (goes_on ? 0 : 1));
            session.disconnect({error_code::monitor_gone, "m", "end of file", {}});
            CHECK(count_ends(session) == (goes_on ? 1 : 0));
        }
}

TEST_CASE("QEMU's complaint of text that it could not parse ends the session") {
    auto session = negotiated();
    session.call("a", "{");
    session.next_write();
    session.receive(R"({"error":{"class":"GenericError","desc":"JSON parse error"}})");
    CHECK(expect<qmp::completed>(session).answer.error().code == error_code::connection_lost);
    CHECK(expect<qmp::closed>(session).why.code == error_code::protocol_violation);
}
