#include <vmplug/error.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace vmplug;

TEST_CASE("each code has a name of its own, and a cause") {
    std::set<std::string_view> names;
    for (const auto& row : error_catalogue()) {
        CAPTURE(row.name);
        CHECK(names.insert(row.name).second);
        CHECK(!row.cause.empty());
        CHECK(find_error(row.name) == &row);
    }
    CHECK(find_error("no such code") == nullptr);
}
