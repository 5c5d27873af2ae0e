// Records that cannot be believed, and what is told of those that can before anything is done. The
// engine is the real one.

#include "fault/bench.hpp"
#include "step/step_kind.hpp"

using namespace vmplug;
using namespace vmplug::testing;
using std::chrono::milliseconds;

namespace {

/// What a recover of an open operation would do.
previewed_operation preview(bench& on) {
    on.options.dry_run = true;
    const int changes = on.world.faults.changes();
    REQUIRE(on.recover());
    CHECK(on.world.faults.changes() == changes);
    on.options.dry_run = false;
    REQUIRE(on.reports.size() == 1);
    return std::get<previewed_operation>(on.reports.front());
}

void forge_assignment(bench& on) {
    auto& row = on.disk.rows.at(on.disk.assignments().front().number);
    row.steps.front().planned.kind = "conjure_up";
}

bool is_disbelieved(const operation_report& report) {
    return report.ended() == outcome::refused && !report.refusals().empty() &&
           report.refusals().front().code == error_code::journal_corrupt;
}

} // namespace

TEST_CASE("an assignment that cannot be believed is reported, alone, and nothing is done for it") {
    bench on;
    attach_first(on);
    forge_assignment(on);
    const int acts = on.world.faults.changes();
    REQUIRE(on.run(detach));
    CHECK(is_disbelieved(on.report));
    REQUIRE(on.recover());
    REQUIRE(on.reports.size() == 1);
    CHECK(is_disbelieved(on.reports.front()));
    CHECK(on.world.faults.changes() == acts);
    CHECK(on.world.is_in_guest(left));
    CHECK(on.locks.empty());
    bench bound;
    bind_first(bound);
    forge_assignment(bound);
    REQUIRE(bound.run(release));
    CHECK(is_disbelieved(bound.report));
    CHECK(bound.world.devices.at(left).driver == "vfio-pci");
}

TEST_CASE("an open record without its steps is reported, and the others go on") {
    bench on;
    on.world.faults.plan_fault(6, fault::dies_after);
    REQUIRE_FALSE(on.run(vmplug::testing::bind));
    on.world.faults.clear();
    operation_record empty;
    empty.number = ++on.disk.latest;
    empty.kind = operation_kind::detach;
    empty.state = operation_state::applying;
    empty.subject["device"] = "0000:09:00.0";
    on.disk.rows[empty.number] = empty;
    REQUIRE(on.recover());
    REQUIRE(on.reports.size() == 2);
    CHECK(on.reports.front().ended() == outcome::rolled_back);
    CHECK(is_disbelieved(on.reports.back()));
    CHECK(on.disk.open().size() == 1);
    CHECK(on.world.devices.at(left).driver == "e1000");
}

TEST_CASE("a record that is damaged while its turn is waited for is not used") {
    bench on;
    on.world.faults.plan_fault(8, fault::dies_after);
    REQUIRE_FALSE(on.run(attach));
    on.world.faults.clear();
    const auto number = on.disk.open().front().number;
    // Somebody has the guest meanwhile.
    const auto& guest = on.world.guests["web"].identity;
    const auto lease =
        "guest-" + std::to_string(guest.pid) + "-" + std::to_string(guest.start_time);
    on.locks[lease] = 99;
    on.time.later(milliseconds(500), [&] {
        on.disk.rows.at(number).steps.clear();
        on.locks.erase(lease);
    });
    const int acts = on.world.faults.changes();
    REQUIRE(on.recover());
    REQUIRE(on.reports.size() == 1);
    CHECK(is_disbelieved(on.reports.front()));
    CHECK(on.world.faults.changes() == acts);
}

TEST_CASE("a way home that is told by a damaged record is not taken") {
    bench on;
    attach_first(on);
    const auto attached = on.last.number;
    on.world.set_paused(on.world.guests["web"], true);
    REQUIRE(on.run(detach));
    REQUIRE(on.report.ended() == outcome::unplug_pending);
    const auto sound = on.disk.rows.at(attached);
    for (auto& each : on.disk.rows.at(attached).steps)
        if (each.planned.kind == step_kind::set_binding) each.prior_state["driver"] = "../x";
    on.world.set_paused(on.world.guests["web"], false);
    REQUIRE(on.run(detach));
    REQUIRE(on.last.failure.has_value());
    CHECK(on.last.failure->code == error_code::journal_unavailable);
    CHECK(on.report.ended() == outcome::unknown);
    CHECK(on.world.devices.at(left).driver == "vfio-pci");
    CHECK(on.world.devices.at(left).driver_override == "vfio-pci");
    // It is open as long as that is so.
    on.disk.rows.at(attached) = sound;
    REQUIRE(on.recover());
    CHECK(on.disk.open().empty());
    CHECK(on.world.devices.at(left).driver == "e1000");
}

TEST_CASE("nothing is handed over to a record that cannot be believed") {
    bench on;
    attach_first(on);
    const auto attach_neighbour = [](use_case& running) {
        attach_request request;
        request.id = "nic1";
        request.wait_guest = milliseconds(1);
        return running.attach("web", right, request);
    };
    REQUIRE(on.run(attach_neighbour));
    REQUIRE(on.report.ended() == outcome::done);
    const auto heir = on.last.number;
    const auto sound = on.disk.rows.at(heir);
    auto damaged = sound;
    damaged.steps.clear();
    damaged.failure = error{error_code::journal_corrupt, "steps", "they cannot be read", {}};
    on.disk.rows.at(heir) = damaged;
    REQUIRE(on.run(detach));
    CHECK(on.report.ended() == outcome::unknown);
    REQUIRE(on.last.failure.has_value());
    CHECK(on.last.failure->code == error_code::journal_unavailable);
    CHECK(on.disk.rows.at(heir).version == damaged.version);
    CHECK(on.disk.rows.at(heir).steps.empty());
    on.disk.rows.at(heir) = sound;
    REQUIRE(on.recover());
    CHECK(on.disk.open().empty());
    CHECK(on.disk.rows.at(heir).steps.size() > sound.steps.size());
}

TEST_CASE("what is there and could not be believed later is not touched") {
    bench on;
    auto& device = on.world.devices.at(left);
    device.driver = device.native_driver = "a driver/../x";
    REQUIRE(on.run(vmplug::testing::bind));
    CHECK(on.report.ended() == outcome::rolled_back);
    REQUIRE(on.last.failure.has_value());
    CHECK(on.last.failure->code == error_code::host_io);
    CHECK(on.last.failure->text.find("cannot be recorded") != std::string::npos);
    CHECK(device.driver == "a driver/../x");
    CHECK(device.driver_override.empty());
    CHECK(on.disk.open().empty());
}

TEST_CASE("an operation of the host alone is given no guest, whatever its record says") {
    bench on;
    on.world.faults.plan_fault(6, fault::dies_after);
    REQUIRE_FALSE(on.run(vmplug::testing::bind));
    on.world.faults.clear();
    auto& row = on.disk.rows.at(on.disk.open().front().number);
    step_record forged;
    forged.planned = {step_kind::device_add, {{"id", "nic0"}, {"arguments", R"({"id":"nic0"})"}}};
    forged.state = step_state::begun;
    row.steps.push_back(forged);
    REQUIRE(on.recover());
    REQUIRE(on.reports.size() == 1);
    REQUIRE(on.reports.front().record().failure.has_value());
    CHECK(on.reports.front().record().failure->code == error_code::internal);
    CHECK(on.reports.front().ended() != outcome::done);
    CHECK(on.disk.open().size() == 1);
    CHECK(on.world.guests["web"].devices.empty());
}

TEST_CASE(
    "who waits longer than it may is told who has the guest, and leaves the record as it is") {
    bench on;
    on.world.faults.plan_fault(8, fault::dies_after);
    REQUIRE_FALSE(on.run(attach));
    on.world.faults.clear();
    const auto& guest = on.world.guests["web"].identity;
    on.locks["guest-" + std::to_string(guest.pid) + "-" + std::to_string(guest.start_time)] = 99;
    REQUIRE(on.recover());
    REQUIRE(on.reports.size() == 1);
    CHECK(!on.reports.front().ended());
    CHECK(on.reports.front().refusals().front().code == error_code::guest_not_ready);
    CHECK(on.reports.front().refusals().front().text.find("process 99") != std::string::npos);
    CHECK(on.disk.open().size() == 1);
    // A device that somebody works on is not waited for.
    on.locks["device-" + left] = 98;
    REQUIRE(on.recover());
    CHECK(on.reports.front().refusals().front().code == error_code::device_busy);
    REQUIRE(on.run(detach));
    CHECK(on.report.ended() == outcome::refused);
    on.options.dry_run = true;
    REQUIRE(on.recover());
    CHECK(on.reports.front().refusals().front().text.find("process 98") != std::string::npos);
}

TEST_CASE("what a dry run of recover foretells is what recover does") {
    int undone = 0;
    int gone_on = 0;
    std::set<std::string> sights;
    for (const auto what : {attach, vmplug::testing::bind, detach, release})
        for (int at = 0; at < 40; ++at) {
            CAPTURE(at);
            bench on;
            if (what == detach) attach_first(on);
            if (what == release) bind_first(on);
            on.world.faults.plan_fault(at, fault::dies_after);
            if (on.run(what)) break;
            on.world.faults.clear();
            if (on.disk.open().empty()) continue;
            const auto told = preview(on);
            sights.insert(told.seen.begin(), told.seen.end());
            REQUIRE(on.recover());
            const bool back = on.reports.front().ended() == outcome::rolled_back;
            CHECK((told.would == "undo what was done") == back);
            back ? ++undone : ++gone_on;
        }
    CHECK(undone > 5);
    CHECK(gone_on > 2);
    for (const char* sight : {"stands", "absent", "half done"})
        CHECK(sights.contains(sight));
}

TEST_CASE("a dry run of recover says when the world does not answer") {
    bench on;
    on.world.faults.plan_fault(14, fault::dies_after);
    REQUIRE_FALSE(on.run(attach));
    on.world.faults.clear();
    auto& row = on.disk.rows.at(on.disk.open().front().number);
    const auto is_add = [](const auto& each) { return each.planned.kind == step_kind::device_add; };
    const auto add = std::ranges::find_if(row.steps, is_add);
    REQUIRE(add != row.steps.end());
    for (auto each = row.steps.begin(); each != add; ++each)
        each->state = step_state::applied;
    add->state = step_state::begun;
    on.world.guests["web"].frozen = true;
    const auto told = preview(on);
    CHECK(told.would == "wait: the world does not answer");
    CHECK(told.seen.at(static_cast<std::size_t>(add - row.steps.begin())) == "not known");
}
