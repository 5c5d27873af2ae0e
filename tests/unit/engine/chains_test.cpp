#include "engine/chains.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

namespace {

operation_record record_of(const char* device, std::vector<std::string> steps = {}) {
    operation_record record;
    record.subject["device"] = device;
    for (auto& each : steps)
        record.steps.emplace_back().planned.arguments["device"] = std::move(each);
    return record;
}

host_facts host_of(std::vector<std::pair<const char*, int>> functions) {
    host_facts host;
    for (const auto& [address, group] : functions) {
        auto& function = host.functions.emplace_back();
        function.address = *parse_host_address(address);
        function.iommu_group = group;
    }
    return host;
}

using chains = std::vector<std::vector<std::size_t>>;

} // namespace

TEST_CASE("what has nothing in common is settled side by side") {
    const auto host = host_of({{"0000:01:00.0", 1}, {"0000:02:00.0", 2}});
    CHECK(find_chains({record_of("0000:01:00.0"), record_of("0000:02:00.0")}, host) ==
          chains{{0}, {1}});
}

TEST_CASE("one device, or one group, is one chain in the order of the records") {
    const auto host = host_of({{"0000:01:00.0", 1}, {"0000:01:00.1", 1}, {"0000:02:00.0", 2}});
    CHECK(find_chains({record_of("0000:01:00.0"), record_of("0000:02:00.0"),
                       record_of("0000:01:00.1"), record_of("0000:01:00.0")},
                      host) == chains{{1}, {0, 2, 3}});
}

TEST_CASE("a device that has left is known by the neighbours that went with it") {
    const auto host = host_of({{"0000:01:00.1", 1}, {"0000:02:00.0", 2}});
    CHECK(find_chains({record_of("0000:01:00.0", {"0000:01:00.1", "0000:01:00.0"}),
                       record_of("0000:02:00.0"), record_of("0000:01:00.1")},
                      host) == chains{{1}, {0, 2}});
}
