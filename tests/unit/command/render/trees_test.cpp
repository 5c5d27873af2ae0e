#include "command/render/trees.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace vmplug;

TEST_CASE("a guest's devices may claim to sit below themselves") {
    const auto answer = nlohmann::json::parse(R"({"guest": "web", "ports": [
        {"bus": "pcie.0", "type": "m", "takes_hot_add": false, "why_not": "no", "free": false},
        {"bus": "a", "type": "pcie-root-port", "takes_hot_add": true, "free": true}],
        "devices": [{"id": "a", "bus": "b", "type": "t", "host": "", "address": null},
                    {"id": "b", "bus": "a", "type": "t", "host": "", "address": null}]})");
    CHECK(draw(picture_guest(answer), {}) == "web\n"
                                             "`- pcie.0  m: no\n");
}
