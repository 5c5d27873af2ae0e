#include "plan/plan_attach.hpp"
#include "plan/plan_return.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace vmplug;

namespace {

/// A host with a NIC alone in group 1, two neighbours in group 2 behind a bridge, and a guest with
/// two root ports.
struct world {
    host_facts host;
    guest_facts guest;
    qemu_process qemu;
    attach_request request;
    std::vector<operation_record> assigned;
    std::vector<operation_record> open;

    world() {
        host.functions = {function("0000:01:00.0", 0x020000, "e1000e", 1),
                          function("0000:03:00.0", 0x060400, "", 2),
                          function("0000:04:01.0", 0x020000, "e1000", 2),
                          function("0000:04:02.0", 0x020000, "e1000", 2)};
        host.iommu.enabled = true;
        host.modules = {{"vfio-pci", module_state::loaded}, {"pci-stub", module_state::loaded}};
        guest.name = "web";
        guest.version = "7.2.22";
        guest.status = "running";
        guest.running = true;
        guest.ram_bytes = std::uint64_t{4} << 30;
        for (const char* bus : {"rp0", "rp1"}) {
            guest_port port;
            port.bus = bus;
            port.takes_hot_add = port.single_slot = true;
            guest.ports.push_back(port);
        }
        guest.vfio_pci = device_model{"vfio-pci", {{"rombar", "uint32"}, {"x-no-mmap", "bool"}}};
        qemu.identity = {"boot", 77, 1234};
        qemu.may_lock_memory = true;
        request.device = *parse_host_address("01:00.0");
        request.id = "nic0";
    }

    static pci_function function(const char* address, std::uint32_t class_code, const char* driver,
                                 int group) {
        pci_function made;
        made.address = *parse_host_address(address);
        made.class_code = class_code;
        made.is_bridge_type = class_code == 0x060400;
        made.driver = driver;
        made.iommu_group = group;
        return made;
    }

    pci_function& at(const char* address) {
        return *std::ranges::find(host.functions, *parse_host_address(address),
                                  &pci_function::address);
    }

    plan attach() const {
        situation seen{host, guest, qemu, "qmp:/run/web.qmp", assigned, open};
        return plan_attach(request, seen);
    }

    std::vector<std::string> refused() const {
        std::vector<std::string> names;
        for (const auto& each : attach().refusals)
            names.emplace_back(code_name(each.code));
        return names;
    }
};

std::vector<std::string> kinds(const plan& made) {
    std::vector<std::string> names;
    for (const auto& each : made.steps)
        names.push_back(each.kind);
    return names;
}

using names = std::vector<std::string>;

} // namespace

TEST_CASE("the plan of a plain attach, word for word") {
    world w;
    w.request.properties = {{"rombar", "0"}, {"x-no-mmap", "on"}};
    const auto made = w.attach();
    CHECK(made.refusals.empty());
    CHECK(kinds(made) == names{"set_binding", "device_add", "confirm_guest"});
    CHECK(made.steps[0].arguments == fields{{"device", "0000:01:00.0"},
                                            {"driver", "vfio-pci"},
                                            {"driver_override", "vfio-pci"}});
    CHECK(made.steps[1].arguments.at("arguments") ==
          R"({"driver":"vfio-pci","host":"01:00.0","id":"nic0","bus":"rp0","addr":"0x0",)"
          R"("rombar":0,"x-no-mmap":true})");
    CHECK(made.forward_from == 1);
    CHECK(made.subject.at("port") == "rp0");
    CHECK(made.subject.at("guest_pid") == "77");
}

TEST_CASE("a module that is not loaded comes first, a limit that is too low before device_add") {
    world w;
    w.host.modules["vfio-pci"] = module_state::available;
    w.qemu.may_lock_memory = false;
    w.qemu.memlock_soft_bytes = 65536;
    const auto made = w.attach();
    CHECK(kinds(made) ==
          names{"load_module", "set_binding", "set_memlock", "device_add", "confirm_guest"});
    CHECK(made.steps[2].arguments.at("size_bytes") == std::to_string(std::uint64_t{5} << 30));
    w.qemu.memlock_soft_bytes = std::uint64_t{5} << 30;
    CHECK(kinds(w.attach())[2] == "device_add");
}

TEST_CASE("a limit is never raised beyond what the process and the host have") {
    world w;
    w.qemu.may_lock_memory = false;
    w.qemu.size_bytes = std::uint64_t{5} << 30;
    w.qemu.host_memory_bytes = (std::uint64_t{4} << 30) + 4096;
    CHECK(w.attach().steps.at(1).arguments.at("size_bytes") ==
          std::to_string(w.qemu.host_memory_bytes));
    w.guest.ram_bytes = std::uint64_t{1} << 62;
    CHECK(w.refused() == names{"vm_unproven"});
    w.guest.ram_bytes = ~std::uint64_t{0};
    CHECK(w.refused() == names{"vm_unproven"});
    // All of it is mapped, and not all of it can be locked.
    w.guest.ram_bytes = w.qemu.size_bytes;
    CHECK(w.refused() == names{"memlock_too_low"});
}

TEST_CASE("a device that is on vfio-pci already is not bound, and will not be given back") {
    world w;
    w.at("01:00.0").driver = "vfio-pci";
    CHECK(kinds(w.attach()) == names{"device_add", "confirm_guest"});
}

TEST_CASE("each reason against an attach, by itself") {
    struct row {
        const char* code;
        void (*change)(world&);
    };
    const row rows[] = {
        {"device_not_found", [](world& w) { w.request.device.bus = 9; }},
        {"device_is_bridge", [](world& w) { w.request.device = *parse_host_address("03:00.0"); }},
        {"no_iommu", [](world& w) { w.at("01:00.0").iommu_group.reset(); }},
        {"group_not_viable", [](world& w) { w.request.device = *parse_host_address("04:01.0"); }},
        {"device_critical",
         [](world& w) {
             w.host.uses[w.request.device] = {
                 {device_use::kind::needed, "eth0 carries the default route"}};
         }},
        {"device_assigned",
         [](world& w) {
             w.host.group_users[1] = {{99, "qemu other"}};
         }},
        {"device_assigned",
         [](world& w) {
             guest_device device;
             device.qdev_id = "old";
             device.host = "0000:01:00.0";
             w.guest.devices.push_back(device);
         }},
        {"device_assigned",
         [](world& w) {
             w.assigned.emplace_back().subject = {{"device", "0000:01:00.0"}};
         }},
        {"operation_conflict",
         [](world& w) {
             w.open.emplace_back().subject = {{"device", "0000:01:00.0"}};
         }},
        {"driver_unavailable",
         [](world& w) {
             w.host.modules["vfio-pci"] = module_state::missing;
             w.request.driver = assignment_driver::vfio_pci;
         }},
        {"duplicate_id", [](world& w) { w.guest.devices.emplace_back().qdev_id = "nic0"; }},
        {"invalid_argument", [](world& w) { w.request.id = "0nic"; }},
        {"invalid_argument", [](world& w) { w.request.id = "a b"; }},
        {"invalid_argument", [](world& w) { w.request.id = std::string(128, 'a'); }},
        {"invalid_argument",
         [](world& w) {
             w.request.properties = {{"host", "02:00.0"}};
         }},
        {"property_unknown",
         [](world& w) {
             w.request.properties = {{"nothing", "1"}};
         }},
        {"model_unavailable", [](world& w) { w.request.driver = assignment_driver::pci_assign; }},
        {"port_unusable", [](world& w) { w.request.port = "rp9"; }},
        {"no_free_port",
         [](world& w) {
             for (auto& port : w.guest.ports)
                 port.occupants = {"x"};
         }},
        {"guest_not_ready", [](world& w) { w.guest.migration = "active"; }},
        {"guest_not_ready", [](world& w) { w.guest.status = "inmigrate"; }},
    };
    for (const auto& each : rows) {
        world w;
        each.change(w);
        CAPTURE(each.code);
        CHECK(w.refused() == names{each.code});
        CHECK(w.attach().steps.empty());
    }
}

TEST_CASE("all reasons are told at once, the guest's first") {
    world w;
    w.request.device = *parse_host_address("04:01.0");
    w.request.id = "!";
    w.request.port = "nothing";
    CHECK(w.refused() == names{"invalid_argument", "port_unusable", "group_not_viable"});
}

TEST_CASE("force overrides what the host needs, and nothing else") {
    world w;
    w.host.uses[w.request.device] = {
        {device_use::kind::needed, "eth0 has the address 10.0.0.1/24"}};
    w.request.force = true;
    CHECK(w.refused().empty());
    w.host.group_users[1] = {{99, "qemu other"}};
    CHECK(w.refused() == names{"device_assigned"});
}

TEST_CASE("with the group, the neighbours are bound first and bridges never") {
    world w;
    w.request.device = *parse_host_address("04:01.0");
    w.request.with_group = true;
    const auto made = w.attach();
    CHECK(kinds(made) == names{"set_binding", "set_binding", "device_add", "confirm_guest"});
    CHECK(made.steps[0].arguments.at("device") == "0000:04:02.0");
    CHECK(made.steps[1].arguments.at("device") == "0000:04:01.0");
    w.host.uses[*parse_host_address("04:02.0")] = {
        {device_use::kind::needed, "eth4 carries the default route"}};
    CHECK(w.refused() == names{"device_critical"});
}

TEST_CASE("a port that an unsettled operation has taken is not given away") {
    world w;
    w.open.emplace_back().subject = {{"device", "0000:09:00.0"},
                                     {"guest_pid", "77"},
                                     {"guest_start", "1234"},
                                     {"boot_id", "boot"},
                                     {"port", "rp0"}};
    CHECK(w.attach().subject.at("port") == "rp1");
    w.open.front().subject["guest_pid"] = "78";
    CHECK(w.attach().subject.at("port") == "rp0");
}

TEST_CASE("an old QEMU gets pci-assign, as the guide of 2010 writes it") {
    world w;
    w.guest.vfio_pci.reset();
    w.guest.pci_assign = device_model{"kvm-pci-assign", {}};
    guest_port root;
    root.bus = "pci.0";
    root.takes_hot_add = true;
    w.guest.ports = {root};
    w.request.id = "mydevice";
    const auto made = w.attach();
    CHECK(made.refusals.empty());
    CHECK(made.steps[0].arguments.at("driver") == "pci-stub");
    CHECK(made.steps[1].arguments.at("arguments") ==
          R"({"driver":"pci-assign","host":"01:00.0","id":"mydevice"})");
}

namespace {

operation_record assigned_record(std::int64_t number, const char* device) {
    operation_record record;
    record.number = number;
    record.state = operation_state::closed;
    record.subject = {{"device", device}, {"id", "nic0"}, {"guest_pid", "77"}};
    step_record bound;
    bound.planned = {"set_binding",
                     {{"device", device}, {"driver", "vfio-pci"}, {"driver_override", "vfio-pci"}}};
    bound.prior_state = {{"driver", "e1000"}, {"driver_override", ""}, {"netdev", "eth3"}};
    bound.state = step_state::applied;
    record.steps = {bound};
    return record;
}

} // namespace

TEST_CASE("a detach gives back what the attach recorded") {
    const world w;
    situation seen{w.host, w.guest, {}, "", {}, {}};
    const auto record = assigned_record(1, "0000:01:00.0");
    seen.assigned = {record};
    detach_request request;
    request.id = "nic0";
    const auto made = plan_detach(request, record, seen);
    CHECK(kinds(made) == names{"device_del", "set_binding"});
    CHECK(made.failure_policy == on_failure::hold);
    CHECK(made.steps[1].arguments == fields{{"device", "0000:01:00.0"},
                                            {"driver", "e1000"},
                                            {"driver_override", ""},
                                            {"netdev", "eth3"}});
    request.keep_bound = true;
    CHECK(kinds(plan_detach(request, record, seen)) == names{"device_del"});
}

TEST_CASE("the last of a group to leave takes all of it home") {
    const world w;
    situation seen{w.host, w.guest, {}, "", {}, {}};
    const auto left = assigned_record(1, "0000:04:01.0");
    auto right = assigned_record(2, "0000:04:02.0");
    seen.assigned = {left, right};
    detach_request request;
    request.id = "nic0";
    CHECK(kinds(plan_detach(request, left, seen)) == names{"device_del"});
    REQUIRE(find_heir(left, seen, shared_by::group));
    const auto heirs = hand_over(left, seen);
    REQUIRE(heirs.size() == 1);
    CHECK(heirs.front().number == 2);
    right = heirs.front();
    seen.assigned = {left, right};
    CHECK(hand_over(left, seen).empty());
    seen.assigned = {right};
    const auto made = plan_detach(request, right, seen);
    CHECK(kinds(made) == names{"device_del", "set_binding", "set_binding"});
    CHECK(made.steps[2].arguments.at("device") == "0000:04:01.0");
}

TEST_CASE("the last device of a QEMU puts its limit back, and one that leaves does not count") {
    const world w;
    situation seen{w.host, w.guest, {}, "", {}, {}};
    auto first = assigned_record(1, "0000:01:00.0");
    const auto second = assigned_record(2, "0000:04:01.0");
    step_record raised;
    raised.planned = {"set_memlock", {{"pid", "77"}, {"start_time", "3"}, {"size_bytes", "5"}}};
    raised.prior_state = {{"soft_bytes", "1"}, {"hard_bytes", "2"}};
    raised.state = step_state::applied;
    first.steps.push_back(raised);
    seen.assigned = {first, second};
    detach_request request;
    request.id = "nic0";
    CHECK(kinds(plan_detach(request, first, seen)) == names{"device_del", "set_binding"});
    const auto heirs = hand_over(first, seen);
    REQUIRE(heirs.size() == 1);
    seen.assigned = {heirs.front()};
    const auto made = plan_detach(request, heirs.front(), seen);
    REQUIRE(kinds(made) == names{"device_del", "set_binding", "set_memlock"});
    CHECK(made.steps[2].arguments.at("soft_bytes") == "1");
    // Of a limit that was raised twice, what the process began with comes back, whoever leaves
    // first.
    auto twice = second;
    twice.steps.push_back(raised);
    twice.steps.back().prior_state = {{"soft_bytes", "5"}, {"hard_bytes", "5"}};
    seen.assigned = {first, twice};
    const auto both = hand_over(first, seen);
    REQUIRE(both.size() == 1);
    CHECK(both.front().steps.back().prior_state.at("soft_bytes") == "1");
    CHECK(hand_over(twice, seen).empty());
    // One that is on its way out needs it until the guest has let go.
    seen.assigned = {first, second};
    auto& leaving = seen.open.emplace_back();
    leaving.releases = 2;
    leaving.steps.resize(1);
    CHECK(hand_over(first, seen).size() == 1);
    leaving.steps[0].state = step_state::applied;
    CHECK(hand_over(first, seen).empty());
    CHECK(kinds(plan_detach(request, first, seen)).back() == "set_memlock");
    // What an attach that is not settled may have added needs it as well.
    seen.assigned = {first};
    auto unsettled = second;
    unsettled.state = operation_state::applying;
    unsettled.steps.emplace_back().planned.kind = "device_add";
    seen.open = {unsettled};
    CHECK(kinds(plan_detach(request, first, seen)).back() == "set_memlock");
    seen.open[0].steps.back().state = step_state::begun;
    CHECK(kinds(plan_detach(request, first, seen)).back() == "set_binding");
    CHECK(hand_over(first, seen, shared_by::guest).size() == 1);
}

TEST_CASE("an unfinished operation on a neighbour stands in the way") {
    world w;
    w.request.device = *parse_host_address("04:01.0");
    w.request.with_group = true;
    w.open.emplace_back().subject = {{"device", "0000:04:02.0"}};
    CHECK(w.refused() == names{"operation_conflict"});
    situation seen{w.host, w.guest, {}, "", {}, {}};
    seen.open = w.open;
    const auto record = assigned_record(9, "0000:04:01.0");
    CHECK(plan_detach({}, record, seen).refusals.size() == 1);
    CHECK(plan_release(record, seen).refusals.size() == 1);
}
