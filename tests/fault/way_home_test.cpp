// What comes back, and what is told, when the world or a record has changed meanwhile. The engine
// is the real one.

#include "fault/bench.hpp"
#include "step/step_kind.hpp"

#include <vmplug/step.hpp>

using namespace vmplug;
using namespace vmplug::testing;

namespace {

/// Binds, lets `change` happen to the world and to the record, and releases.
template <class Change>
void release_after(bench& on, Change change) {
    bind_first(on);
    change(on.disk.rows.at(on.disk.assignments().front().number));
    REQUIRE(on.run(release));
}

std::string told(const bench& on) {
    std::string text;
    for (const auto& step : on.last.steps)
        text += field(step.findings, "told") + "\n";
    return text;
}

bool says(const bench& on, const char* words) {
    return told(on).find(words) != std::string::npos;
}

} // namespace

TEST_CASE("another card in that place is not touched, and told") {
    bench on;
    release_after(on, [&](operation_record&) {
        auto& card = on.world.devices.at(left);
        card.device_id = "0x100e";
        card.driver = "its-own";
        card.driver_override = "its-own";
    });
    CHECK(on.report.ended() == outcome::done);
    CHECK(on.world.devices.at(left).driver == "its-own");
    CHECK(on.world.devices.at(left).driver_override == "its-own");
    CHECK(says(on, "another card"));
    CHECK(on.world.devices.at(right).driver == "e1000");
    CHECK(on.disk.assignments().empty());
}

TEST_CASE("another card of the same kind keeps the address of its own") {
    bench on;
    release_after(on, [&](operation_record&) {
        auto& card = on.world.devices.at(left);
        card.netdevs.front().permanent_mac = "52:54:00:99:99:99";
        come_back(on, left);
    });
    CHECK(on.report.ended() == outcome::done);
    CHECK(on.world.devices.at(left).netdevs.front().mac == "52:54:00:99:99:99");
    CHECK(on.world.devices.at(left).netdevs.front().name == "eth3");
    CHECK(says(on, "52:54:00:aa:aa:03"));
}

TEST_CASE("a record of an earlier vmplug brings the driver and the first name back") {
    bench on;
    // The module is called otherwise than its driver, as of xhci_hcd: the device itself says it.
    on.world.installed = {{"e1000_pci", "e1000"}, {"vfio-pci", "vfio-pci"}};
    on.world.devices.at(left).netdevs.resize(1);
    release_after(on, [&](operation_record& record) {
        for (auto& step : record.steps)
            for (const char* name : {"netdevs", "module", "ids"})
                step.prior_state.erase(name);
        on.world.loaded.erase("e1000");
    });
    CHECK(on.report.ended() == outcome::done);
    CHECK(on.world.devices.at(left).driver == "e1000");
    CHECK(on.world.devices.at(left).netdevs.front().name == "eth3");
}

TEST_CASE("a module that is called otherwise than its driver is loaded by its name") {
    bench on;
    on.world.installed = {{"e1000_pci", "e1000"}, {"vfio-pci", "vfio-pci"}};
    const auto before = on.world.devices;
    release_after(on, [&](operation_record& record) {
        CHECK(record.steps.back().prior_state.at("module") == "e1000_pci");
        on.world.loaded.erase("e1000");
    });
    CHECK(on.report.ended() == outcome::done);
    CHECK(on.world.devices == before);
}

TEST_CASE("a driver that cannot come back is a refusal, before anything is touched") {
    bench on;
    release_after(on, [&](operation_record&) {
        on.world.loaded.erase("e1000");
        on.world.installed.erase("e1000");
    });
    CHECK(on.report.ended() == outcome::refused);
    CHECK(on.last.failure->code == error_code::driver_unavailable);
    CHECK(on.world.devices.at(left).driver == "vfio-pci");
    CHECK(on.world.devices.at(left).driver_override == "vfio-pci");
}

TEST_CASE("two ports of one function that have each other's names are told apart") {
    bench on;
    auto& ports = on.world.devices.at(left).netdevs;
    // The kernel will give them these very names, the other way round.
    ports[0].name = "eth92";
    ports[1].name = "eth91";
    ports[1].home = 0;
    const auto before = on.world.devices;
    release_after(on, [](operation_record&) {});
    CHECK(on.report.ended() == outcome::done);
    CHECK(on.world.devices == before);
}

TEST_CASE("a namespace that is gone is told, and so is a name that somebody else has") {
    bench on;
    release_after(on, [&](operation_record&) {
        on.world.namespaces.clear();
        on.world.devices["0000:05:00.0"] = {
            "other", {{"eth3", "52:54:00:00:00:55"}}, 12, "other", ""};
    });
    CHECK(on.report.ended() == outcome::done);
    CHECK(says(on, "the network namespace pod that it was in is gone"));
    CHECK(says(on, "another interface has the name eth3"));
    CHECK(on.world.devices.at(left).netdevs.front().mtu == 9000);
    CHECK(on.world.devices.at(left).netdevs.back().home == 0);
}

TEST_CASE("nothing is done with a record whose fields are not what they have to be") {
    const std::pair<const char*, const char*> values[] = {
        {"driver", "../../../run/evil"},
        {"driver", ".."},
        {"driver", "a/b"},
        {"driver_override", "e1000\nx"},
        {"driver_override", "$(reboot)"},
        {"module", "-C"},
        {"module", "../x"},
        {"netdev", "a b"},
        {"netdev", "a/b"},
        {"netdevs", "{}x"},
        {"netdevs", R"([{"name":"../x"}])"},
        {"ids", "8086:10d3;"},
    };
    for (const auto& each : values) {
        const auto& [name, value] = each;
        // No parts of a structured binding: clang 14 captures none.
        CAPTURE(each.first);
        CAPTURE(each.second);
        bench on;
        bind_first(on);
        // A release that was left open, at its begin or in the middle.
        on.world.faults.plan_fault(1, fault::dies_before);
        REQUIRE_FALSE(on.run(release));
        const auto open = on.disk.open();
        REQUIRE(open.size() == 1);
        for (const auto state : {step_state::planned, step_state::begun})
            for (const bool prior : {false, true}) {
                auto row = open.front();
                row.steps.front().state = state;
                auto& forged =
                    prior ? row.steps.front().prior_state : row.steps.front().planned.arguments;
                forged[name] = value;
                on.disk.rows[row.number] = row;
                CHECK(check_record(row).error().code == error_code::journal_corrupt);
                CHECK(manual_undo(row).empty());
                const int acts = on.world.faults.count();
                REQUIRE(on.recover());
                CHECK(on.reports.front().refusals().front().code == error_code::journal_corrupt);
                CHECK(on.world.faults.count() == acts);
            }
    }
}

TEST_CASE("a record's subject is checked too") {
    for (const auto& each : {std::pair{"device", "0000:01:00.0/../x"},
                             {"device", ""},
                             {"id", "x\",\"bus"},
                             {"guest_pid", "-1"},
                             {"guest_start", "x"},
                             {"boot_id", "../x"}}) {
        const auto& [name, value] = each;
        CAPTURE(each.first);
        operation_record record;
        record.subject["device"] = left;
        CHECK(check_record(record).has_value());
        record.subject[name] = value;
        CHECK(check_record(record).error().code == error_code::journal_corrupt);
    }
}
