#include "host/device_rules.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("a list of devices allows what its lines name") {
    const device_pattern container{10, 196}, any_group{244, {}}, group{244, 7};
    CHECK(list_allows("a *:* rwm\n", any_group));
    CHECK(list_allows("c 1:3 rwm\nc 10:196 rw\n", container));
    CHECK_FALSE(list_allows("c 10:196 r\n", container));
    CHECK_FALSE(list_allows("b 10:196 rw\n", container));
    CHECK(list_allows("c 244:* rwm\n", any_group));
    CHECK(list_allows("c 244:7 rwm\n", group));
    CHECK_FALSE(list_allows("c 244:7 rwm\n", any_group));
    CHECK_FALSE(list_allows("c 244:70 rwm\n", group));
    CHECK_FALSE(list_allows("nothing\nc\nc 244 rw\n", group));
}
