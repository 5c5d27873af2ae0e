#include "qapi/event.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace vmplug;
using nlohmann::json;

namespace {

qapi::event parse(const char* name, const json& data) {
    auto parsed = qapi::parse_event(name, data);
    REQUIRE(parsed.has_value());
    return std::move(*parsed);
}

void refuse(const char* name, const json& data) {
    INFO(name, data);
    const auto parsed = qapi::parse_event(name, data);
    REQUIRE(parsed.has_error());
    CHECK(parsed.error().code == error_code::protocol_violation);
    CHECK(parsed.error().where == name);
}

const json nic{{"device", "nic9"}, {"path", "/machine/peripheral/nic9"}};
const json ost{
    {"info",
     {{"device", "dimm0"}, {"slot", "0"}, {"slot-type", "DIMM"}, {"source", 3}, {"status", 132}}}};

} // namespace

TEST_CASE("each event that vmplug acts on has its members") {
    const qapi::device_deleted deleted{"nic9", "/machine/peripheral/nic9"};
    CHECK(parse("DEVICE_DELETED", nic) == qapi::event(deleted));
    const qapi::device_unplug_guest_error refused{"nic9", "/machine/peripheral/nic9"};
    CHECK(parse("DEVICE_UNPLUG_GUEST_ERROR", nic) == qapi::event(refused));
    CHECK(parse("ACPI_DEVICE_OST", ost) ==
          qapi::event(qapi::acpi_device_ost{"dimm0", "0", "DIMM", 3, 132}));
    const json end{{"guest", true}, {"reason", "guest-reset"}};
    CHECK(parse("RESET", end) == qapi::event(qapi::reset{true, "guest-reset"}));
    CHECK(parse("SHUTDOWN", end) == qapi::event(qapi::shutdown{true, "guest-reset"}));
    CHECK(parse("STOP", {}) == qapi::event(qapi::stop{}));
    CHECK(parse("RESUME", {}) == qapi::event(qapi::resume{}));
    CHECK(parse("UNPLUG_PRIMARY", {{"device-id", "nic9"}}) ==
          qapi::event(qapi::unplug_primary{"nic9"}));
    CHECK(parse("NIC_RX_FILTER_CHANGED", nic) == qapi::event(qapi::other{"NIC_RX_FILTER_CHANGED"}));
}

TEST_CASE("what older QEMUs leave out is nothing, and what newer ones add is passed over") {
    CHECK(parse("RESET", {}) == qapi::event(qapi::reset{}));
    CHECK(parse("SHUTDOWN", {{"guest", false}}) == qapi::event(qapi::shutdown{false, {}}));
    const qapi::device_deleted nameless{{}, "/machine/peripheral/nic9/virtio-backend"};
    CHECK(parse("DEVICE_DELETED", {{"path", "/machine/peripheral/nic9/virtio-backend"},
                                   {"new", json::array()}}) == qapi::event(nameless));
}

TEST_CASE("an event of another form is none of QEMU's") {
    const std::vector<json> odd{json(),     json(1),       json("nic9"),
                                json(true), json::array(), json::array({nic})};
    for (const auto& data : odd)
        for (const char* name :
             {"DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR", "ACPI_DEVICE_OST", "UNPLUG_PRIMARY"})
            refuse(name, data);
    refuse("DEVICE_DELETED", {{"device", "nic9"}});
    refuse("DEVICE_DELETED", {{"device", 9}, {"path", "/machine/peripheral/nic9"}});
    refuse("DEVICE_DELETED", {{"device", nullptr}, {"path", "/machine/peripheral/nic9"}});
    refuse("DEVICE_UNPLUG_GUEST_ERROR", {{"device", "nic9"}, {"path", json::object()}});
    refuse("RESET", {{"guest", "yes"}});
    refuse("SHUTDOWN", {{"guest", true}, {"reason", 4}});
    for (const char* key : {"device", "slot", "slot-type", "source", "status"}) {
        auto changed = ost;
        changed["info"][key] = json::array();
        refuse("ACPI_DEVICE_OST", changed);
    }
    auto large = ost;
    large["info"]["status"] = 18446744073709551615U;
    refuse("ACPI_DEVICE_OST", large);
    large["info"]["status"] = 1.5;
    refuse("ACPI_DEVICE_OST", large);
}

TEST_CASE("an event is about a device by its id, or by its path where the id is left out") {
    const auto about = [](const char* name, const json& data) {
        return qapi::is_about(parse(name, data), "nic9");
    };
    for (const char* name : {"DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR"}) {
        CHECK(about(name, nic));
        CHECK(about(name, {{"path", "/machine/peripheral/nic9"}}));
        CHECK_FALSE(about(name, {{"path", "/machine/peripheral/nic9/virtio-backend"}}));
        CHECK_FALSE(about(name, {{"path", "/machine/peripheral-anon/nic9"}}));
        CHECK_FALSE(about(name, {{"device", "nic"}, {"path", "/machine/peripheral/nic"}}));
    }
    CHECK(about("UNPLUG_PRIMARY", {{"device-id", "nic9"}}));
    CHECK_FALSE(about("ACPI_DEVICE_OST", ost));
    CHECK_FALSE(about("RESET", {{"guest", true}}));
    CHECK_FALSE(about("NIC_RX_FILTER_CHANGED", {{"name", "nic9"}, {"device", "nic9"}}));
}
