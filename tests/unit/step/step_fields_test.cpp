#include "step/device_add.hpp"
#include "step/set_binding.hpp"
#include "step/set_memlock.hpp"
#include "step/step_kind.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

namespace {

/// A network interface as the journal has it.
const char* const interfaces =
    R"([{"addresses":["192.0.2.7/24"],"alternative_names":[],"dev_port":0,"mac":"52:54:00:12:34:56",)"
    R"("master":"","mtu":1500,"name":"eth1","permanent_mac":"52:54:00:12:34:56","place":"","up":true}])";

const fields told_binding{
    {"device", "0000:01:00.0"}, {"driver", "vfio-pci"}, {"driver_override", "vfio-pci"}};
const fields before_binding{{"driver", "e1000e"}, {"driver_override", ""},
                            {"module", "e1000e"}, {"ids", "8086:10d3 8086:0000"},
                            {"netdev", "eth1"},   {"netdevs", interfaces}};
const fields told_limit{{"pid", "77"},
                        {"start_time", "3"},
                        {"boot_id", "9cc38fe0-9801-4cba-b2f5-8983d966b527"},
                        {"size_bytes", "5368709120"}};
const fields before_limit{{"soft_bytes", "65536"}, {"hard_bytes", "18446744073709551615"}};

std::optional<step> inverse(const char* kind, const fields& told, const fields& before) {
    return find_step_kind(kind)->inverse(told, before);
}

} // namespace

TEST_CASE("what a record says is the same after it was read and written again") {
    CHECK(set_binding_arguments::parse(told_binding)->to_step().arguments == told_binding);
    CHECK(binding_state::parse(before_binding)->format() == before_binding);
    CHECK(set_memlock_arguments::parse(told_limit)->to_step().arguments == told_limit);
    // The guide's way: ids instead of an override.
    const fields by_ids{
        {"device", "0000:01:00.0"}, {"driver", "pci-stub"}, {"new_id", "8086 10d3"}};
    CHECK(set_binding_arguments::parse(by_ids)->to_step().arguments == by_ids);
    // Of an earlier vmplug, which knew the name of an interface alone.
    const fields with_name{{"driver", "e1000"}, {"driver_override", ""}, {"netdev", "eth3"}};
    CHECK(binding_state::parse(with_name)->format() == with_name);
}

TEST_CASE("the inverse of a step leads to what was there before it, and is none when nothing was") {
    auto home = before_binding;
    home["device"] = "0000:01:00.0";
    CHECK(inverse("set_binding", told_binding, before_binding) == step{"set_binding", home});
    // Without an interface it is a way home as well.
    const fields bare{{"driver", "nvme"}, {"driver_override", ""}};
    const auto back = inverse("set_binding", told_binding, bare);
    REQUIRE(back);
    CHECK(set_binding_arguments::parse(back->arguments)->is_home);
    auto limits = before_limit;
    for (const char* name : {"pid", "start_time", "boot_id"})
        limits[name] = told_limit.at(name);
    CHECK(inverse("set_memlock", told_limit, before_limit) == step{"set_memlock", limits});
    CHECK_FALSE(inverse("set_memlock", told_limit, {}));
    const auto added = device_add_arguments{"nic0", R"({"id":"nic0"})"}.to_step();
    CHECK(inverse("device_add", added.arguments, {})->kind == "device_del");
    CHECK_FALSE(inverse("load_module", {{"module", "vfio-pci"}, {"driver", "vfio-pci"}}, {}));
}

TEST_CASE("an inverse is a step of a kind that believes it, and leads nowhere twice") {
    for (const auto& [kind, told, before] :
         {std::tuple("set_binding", told_binding, before_binding),
          std::tuple("set_memlock", told_limit, before_limit)}) {
        const auto back = inverse(kind, told, before);
        REQUIRE(back);
        CHECK(find_step_kind(back->kind)->check(back->arguments, {}).has_value());
        // From where the inverse begins, its own undo leads back there.
        const auto forth = inverse(kind, back->arguments, told);
        if (forth) CHECK(field(forth->arguments, "driver") == field(told, "driver"));
    }
}

TEST_CASE("a record that says half of a limit is not believed") {
    auto half = before_limit;
    half.erase("hard_bytes");
    CHECK(find_step_kind("set_memlock")->check(told_limit, half).has_error());
    CHECK(find_step_kind("set_memlock")->check(told_limit, before_limit).has_value());
    // Of an earlier vmplug: none were known.
    const fields none{{"soft_bytes", ""}, {"hard_bytes", ""}};
    CHECK(find_step_kind("set_memlock")->check(told_limit, none).has_value());
    CHECK_FALSE(inverse("set_memlock", told_limit, none));
}

TEST_CASE("of a limit that was raised twice the lower one was there first") {
    const auto* kind = find_step_kind("set_memlock");
    const fields raised{{"soft_bytes", "5368709120"}, {"hard_bytes", "5368709120"}};
    CHECK(kind->is_earlier(before_limit, raised));
    CHECK_FALSE(kind->is_earlier(raised, before_limit));
    CHECK_FALSE(find_step_kind("set_binding")->is_earlier(before_binding, {}));
}
