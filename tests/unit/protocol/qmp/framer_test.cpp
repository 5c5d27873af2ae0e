#include "qmp/framer.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace vmplug;

namespace {

std::vector<std::string> frame(qmp::framer& framer) {
    std::vector<std::string> messages;
    for (;;) {
        auto message = framer.next();
        REQUIRE(message.has_value());
        if (!*message) return messages;
        messages.push_back(**message);
    }
}

} // namespace

TEST_CASE("messages are framed by their brackets, byte by byte and in one piece") {
    const std::string first = "{\r\n  \"a\": [1, {\"b\": \"}\\\"]\"}]\r\n}";
    const std::string second = "{\"x\":\"\\\\\"}";
    const auto stream = first + "\r\n" + second + "\r\n";
    qmp::framer whole;
    whole.push(stream);
    CHECK(frame(whole) == std::vector{first, second});

    qmp::framer bytes;
    std::vector<std::string> seen;
    for (const char byte : stream) {
        bytes.push(std::string_view(&byte, 1));
        for (auto& each : frame(bytes))
            seen.push_back(each);
    }
    CHECK(seen == std::vector{first, second});
}

TEST_CASE("a message of ten megabytes is framed") {
    qmp::framer framer;
    const auto message = "{\"return\":\"" + std::string(10 << 20, 'x') + "\"}";
    for (std::size_t i = 0; i < message.size(); i += 4096)
        framer.push(std::string_view(message).substr(i, 4096));
    CHECK(frame(framer).at(0).size() == message.size());
}

TEST_CASE("a hostile peer is bounded") {
    qmp::framer text;
    text.push("(qemu) ");
    CHECK(text.next().error().code == error_code::protocol_violation);

    qmp::framer deep(qmp::limits{1 << 20, 16});
    deep.push("{\"a\":" + std::string(17, '['));
    CHECK(deep.next().error().code == error_code::limit_exceeded);

    qmp::framer as_deep_as_allowed(qmp::limits{1 << 20, 16});
    as_deep_as_allowed.push("{\"a\":" + std::string(15, '[') + std::string(15, ']') + "}");
    CHECK(frame(as_deep_as_allowed).size() == 1);

    qmp::framer many(qmp::limits{1 << 20, 16, 100});
    many.push("{\"a\":[" + std::string(99, ','));
    CHECK(many.next().error().code == error_code::limit_exceeded);
    qmp::framer one_after_the_other(qmp::limits{1 << 20, 16, 100});
    for (int i = 0; i < 200; ++i)
        one_after_the_other.push("{\"a\":[1,2,3]}");
    CHECK(frame(one_after_the_other).size() == 200);

    qmp::framer endless(qmp::limits{1000, 16});
    endless.push("{\"" + std::string(1000, 'x'));
    CHECK(endless.next().error().code == error_code::limit_exceeded);
}
