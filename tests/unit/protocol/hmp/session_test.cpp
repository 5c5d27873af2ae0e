#include "hmp/session.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace vmplug;

namespace {

/// What QEMU's line editor plays back for each typed byte (util/readline.c).
std::string echo_of(const std::string& line) {
    std::string echo;
    for (std::size_t typed = 0; typed < line.size(); ++typed) {
        for (std::size_t i = 0; i < typed; ++i)
            echo += "\x1b[D";
        echo += line.substr(0, typed + 1) + "\x1b[K";
    }
    return echo + "\r\n";
}

const std::string banner = "QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ";

/// A session at its first prompt.
hmp::session greeted() {
    hmp::session session;
    session.receive(banner);
    CHECK(session.quiet_time());
    CHECK(hmp::parse_version(session.take_output()) == "7.2.22");
    return session;
}

std::string run(hmp::session& session, const std::string& line, const std::string& output) {
    REQUIRE(session.begin(line).has_value());
    session.receive(echo_of(line) + output + "(qemu) ");
    REQUIRE(session.quiet_time());
    return session.take_output();
}

} // namespace

TEST_CASE("a line is sent with one newline, and its echo and prompt are not in the reply") {
    auto session = greeted();
    CHECK(*session.begin("info name") == "info name\n");
    session.receive(echo_of("info name") + "web\r\n(qemu) ");
    CHECK(session.take_output() == "web\n");
    CHECK(run(session, "info status", "VM status: running\r\n") == "VM status: running\n");
    CHECK(run(session, "cont", "").empty());
}

TEST_CASE("bytes may come in any pieces") {
    std::mt19937 chance(7);
    const auto bytes = echo_of("info pci") + "  Bus  0\r\n    id \"\"\r\n(qemu) ";
    for (int round = 0; round < 200; ++round) {
        auto session = greeted();
        REQUIRE(session.begin("info pci").has_value());
        for (std::size_t at = 0; at < bytes.size();) {
            const auto size = std::min<std::size_t>(1 + chance() % 40, bytes.size() - at);
            session.receive(std::string_view(bytes).substr(at, size));
            at += size;
        }
        CHECK(session.take_output() == "  Bus  0\n    id \"\"\n");
    }
}

TEST_CASE("a prompt inside of output does not end it") {
    auto session = greeted();
    REQUIRE(session.begin("info name").has_value());
    session.receive(echo_of("info name") + "(qemu) evil");
    CHECK(!session.quiet_time());
    session.receive("\r\nmore (qemu) ");
    // It may be the prompt after a line without an end: more patience is needed.
    CHECK(*session.quiet_time() > std::chrono::milliseconds(100));
    session.receive("name\r\n(qemu) ");
    CHECK(*session.quiet_time() < std::chrono::milliseconds(100));
    CHECK(session.take_output() == "(qemu) evil\nmore (qemu) name\n");
}

TEST_CASE("what QEMU prints of itself before the echo is dropped") {
    auto session = greeted();
    REQUIRE(session.begin("info name").has_value());
    session.receive("\r\nqemu: something happened\r\n(qemu) " + echo_of("info name") +
                    "web\r\n(qemu) ");
    CHECK(session.take_output() == "web\n");
}

TEST_CASE("a line of 4000 bytes costs 32 MB of echo and no memory") {
    auto session = greeted();
    const std::string line(4000, 'x');
    REQUIRE(session.begin(line).has_value());
    session.receive(echo_of(line));
    session.receive("unknown command\r\n(qemu) ");
    CHECK(session.take_output() == "unknown command\n");
}

TEST_CASE("lines that QEMU would cut or take as keys are refused") {
    auto session = greeted();
    CHECK(session.begin(std::string(4096, 'x')).error().code == error_code::limit_exceeded);
    for (const char* line : {"a\nquit", "a\tb", "\x1b[A", "a\x7f", "\xc8\x9b", "a\rb"})
        CHECK(session.begin(line).error().code == error_code::invalid_argument);
    CHECK(session.begin(std::string(4095, 'x')).has_value());
}

TEST_CASE("what is no human monitor is recognised") {
    hmp::session qmp;
    qmp.receive("{\"QMP\": {\"version\": {}}}\r\n");
    REQUIRE(qmp.failure());
    CHECK(qmp.failure()->remedy.find("qmp:") != std::string::npos);

    hmp::session noise;
    for (int i = 0; i < 1000 && !noise.failure(); ++i)
        noise.receive(std::string(1000, '\0'));
    REQUIRE(noise.failure());
    CHECK(noise.failure()->code == error_code::protocol_violation);
}

TEST_CASE("an endless reply, an endless echo and a password prompt end the session") {
    auto session = greeted();
    REQUIRE(session.begin("info qtree").has_value());
    session.receive(echo_of("info qtree"));
    for (int i = 0; i < 100 && !session.failure(); ++i)
        session.receive(std::string(100'000, 'x'));
    REQUIRE(session.failure());
    CHECK(session.failure()->code == error_code::limit_exceeded);
    CHECK(session.begin("info name").has_error());

    auto stray = greeted();
    REQUIRE(stray.begin("info name").has_value());
    for (int i = 0; i < 10'000 && !stray.failure(); ++i)
        stray.receive(std::string(1000, 'y') + "\r\n");
    REQUIRE(stray.failure());

    auto password = greeted();
    CHECK(password.begin("change vnc password").error().code == error_code::invalid_argument);
    REQUIRE(password.begin("cont").has_value());
    password.receive(echo_of("cont") + "Password: ");
    REQUIRE(password.failure());
    CHECK(password.failure()->code == error_code::command_failed);

    hmp::session left_so;
    left_so.receive("QEMU 7.2.22 monitor\r\nPassword: ");
    REQUIRE(left_so.failure());
    CHECK(left_so.failure()->code == error_code::monitor_busy);
}

TEST_CASE("failures are recognised by their text") {
    const auto fails = [](const char* line, const char* output) {
        return hmp::judge(line, output).has_error();
    };
    CHECK(fails("info foo", "unknown command: 'info foo'\n"));
    CHECK(fails("device_add x", "Error: 'x' is not a valid device model name\n"));
    CHECK(
        fails("device_add pci-assign,host=01:00.0", "No IOMMU found.  Unable to assign device\n"));
    CHECK(fails("device_del y", "Device 'y' not found\n"));
    CHECK(fails("change vnc", "change: string expected\n"));
    CHECK(fails("info name x", "info: extraneous characters at the end of line\n"));
    CHECK(!fails("device_add ?", "name \"e1000\", bus PCI\n"));
    CHECK(!fails("device_add e1000,?", "e1000 options:\n"));
    CHECK(!fails("info name", "Errors are us\n"));
    CHECK(!fails("device_del y", ""));
    CHECK(hmp::judge("device_add foo,id=x", "Error: no\n\n").error().text == "Error: no");
}
