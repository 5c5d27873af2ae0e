#include "step/steps.hpp"

#include <vmplug/plan.hpp>
#include <vmplug/step.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace vmplug;

namespace {

step_record step_of(const char* kind, fields arguments, step_state state) {
    step_record made;
    made.planned = {kind, std::move(arguments)};
    made.state = state;
    return made;
}

operation_record record_of(std::vector<step_record> steps) {
    operation_record made;
    made.subject = {
        {"device", "0000:01:00.0"}, {"guest", "web"}, {"id", "nic0"}, {"monitor", "qmp:/run/web"}};
    made.steps = std::move(steps);
    return made;
}

const fields add{{"id", "nic0"}, {"arguments", R"({"driver":"vfio-pci","id":"nic0"})"}};
const std::string take_out = "vmplug qmp qmp:/run/web device_del id=nic0";

} // namespace

TEST_CASE("what stands of an operation is undone by hand from its end to its begin") {
    auto limit = step_of(step_kind::set_memlock,
                         {{"pid", "77"}, {"start_time", "5"}, {"size_bytes", "1073741824"}},
                         step_state::applied);
    limit.prior_state = {{"soft_bytes", "65536"}, {"hard_bytes", "18446744073709551615"}};
    const auto record = record_of({limit, step_of(step_kind::device_add, add, step_state::begun)});
    const auto commands = manual_undo(record);
    REQUIRE(commands.size() == 2);
    CHECK(commands.front() == take_out);
    CHECK(commands.back().find("prlimit --memlock=65536:unlimited --pid 77") != std::string::npos);
    auto undone = record;
    for (auto& each : undone.steps)
        each.state = step_state::reverted;
    CHECK(manual_undo(undone).empty());
}

TEST_CASE("a way home is finished by hand in its own order") {
    auto record = record_of(
        {step_of(step_kind::device_del, {{"id", "nic0"}, {"wait_ms", "7"}}, step_state::begun),
         step_of(step_kind::set_memlock,
                 {{"pid", "77"}, {"start_time", "5"}, {"soft_bytes", "1"}, {"hard_bytes", "2"}},
                 step_state::planned)});
    record.failure_policy = on_failure::hold;
    const auto commands = manual_undo(record);
    REQUIRE(commands.size() == 2);
    CHECK(commands.front() == take_out);
    CHECK(commands.back().find("prlimit --memlock=1:2 --pid 77") != std::string::npos);
    // Without its monitor the guest is called by its name.
    record.subject.erase("monitor");
    CHECK(manual_undo(record).front() == "vmplug qmp web device_del id=nic0");
}

TEST_CASE("a device that was bound by its ids is forgotten by its driver first") {
    auto bound =
        step_of(step_kind::set_binding,
                {{"device", "0000:01:00.0"}, {"driver", "pci-stub"}, {"new_id", "8086 10d3"}},
                step_state::applied);
    bound.prior_state = {{"driver", "e1000e"}, {"driver_override", ""}};
    const auto commands = manual_undo(record_of({bound}));
    REQUIRE(commands.size() > 2);
    CHECK(commands.front() ==
          "echo '8086 10d3' > /sys/bus/pci/drivers/pci-stub/remove_id 2>/dev/null || true");
}

TEST_CASE("what goes to QEMU as it is has to be about that very device") {
    const auto is_believed = [](const char* arguments) {
        const auto forged = record_of({step_of(
            step_kind::device_add, {{"id", "nic0"}, {"arguments", arguments}}, step_state::begun)});
        return check_record(forged).has_value();
    };
    CHECK(is_believed(R"({"id":"nic0"})"));
    for (const char* text : {"", "[]", "nic0", R"({"id":"nic1"})", R"({"driver":"vfio-pci"})",
                             R"({"id":7})", R"({"id":"nic0"} {)"})
        CHECK_MESSAGE(!is_believed(text), text);
}

TEST_CASE("each kind says in a line what it does") {
    for (const auto* kind : step_kinds()) {
        const auto line = kind->describe({{"id", "nic0"},
                                          {"device", "0000:01:00.0"},
                                          {"arguments", R"({"id":"nic0"})"},
                                          {"wait_ms", "7"},
                                          {"module", "vfio-pci"},
                                          {"driver", "vfio-pci"},
                                          {"pid", "7"},
                                          {"start_time", "3"}});
        CHECK_MESSAGE(line.find(' ') != std::string::npos, kind->name());
        CHECK(line.find('\n') == std::string::npos);
    }
    CHECK(describe_step({step_kind::set_binding, {{"device", "0000:01:00.0"}}}) ==
          "take 0000:01:00.0 off its driver");
    const fields back{{"pid", "7"}, {"start_time", "3"}, {"soft_bytes", "1"}, {"hard_bytes", "2"}};
    CHECK(describe_step({step_kind::set_memlock, back}) ==
          "set the locked-memory limit of QEMU (pid 7) back");
    CHECK(describe_step({"conjure_up", {}}) == "conjure_up");
}
