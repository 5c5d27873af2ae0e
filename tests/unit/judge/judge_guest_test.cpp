#include "judge/judge_guest.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace vmplug;

namespace {

/// A NIC in group 1, a neighbour of it, and a guest with two root ports and a bridge.
struct world {
    situation seen;
    guest_question asked;

    world() {
        for (const char* address : {"0000:01:00.0", "0000:01:00.1"}) {
            pci_function function;
            function.address = *parse_host_address(address);
            function.iommu_group = 1;
            seen.host.functions.push_back(function);
        }
        seen.host.modules = {{"vfio-pci", module_state::loaded}};
        seen.guest.status = "running";
        seen.guest.running = true;
        seen.guest.vfio_pci = device_model{"vfio-pci", {}};
        for (const char* bus : {"rp0", "rp1", "br1"}) {
            guest_port port;
            port.bus = bus;
            port.takes_hot_add = true;
            port.single_slot = port.bus != "br1";
            seen.guest.ports.push_back(port);
        }
        seen.qemu = qemu_process();
        seen.qemu->identity = {"boot", 77, 1234};
        seen.qemu->may_lock_memory = true;
        seen.monitor = "qmp:/run/web.qmp";
        asked.device = *parse_host_address("01:00.0");
    }

    guest_port& port(const char* bus) {
        return *std::ranges::find(seen.guest.ports, bus, &guest_port::bus);
    }

    /// What a QEMU sees that lives where we do, and may open what it likes.
    static process_view root_view() {
        process_view view;
        view.same_nodes = view.container_node = view.sees_device = view.passes_any_mode = true;
        view.may_open_container = true;
        view.user = "uid 0";
        return view;
    }

    /// The same without a right to all files, as libvirt and others start QEMU.
    static process_view user_view() {
        auto view = root_view();
        view.passes_any_mode = false;
        view.user = "uid 64055";
        return view;
    }

    /// The codes that refuse; those that may be forced end with "?".
    std::vector<std::string> refused() const {
        std::vector<std::string> names;
        for (const auto& each : judge_guest(asked, seen).findings)
            if (each.says == verdict::refused)
                names.push_back(std::string(code_name(each.code)) +
                                (each.may_be_forced ? "?" : ""));
        return names;
    }
    std::string chosen() const {
        const auto judged = judge_guest(asked, seen);
        return judged.port ? judged.port->bus : "";
    }
};

using names = std::vector<std::string>;

} // namespace

TEST_CASE("a full bus is passed over, and by name it is refused") {
    world w;
    w.port("rp0").occupants = {"a"};
    w.port("rp1").takes_hot_add = false;
    CHECK(w.chosen() == "br1");
    w.port("br1").full = true;
    CHECK(w.refused() == names{"no_free_port"});
    w.asked.port = "br1";
    CHECK(w.refused() == names{"port_unusable"});
}

TEST_CASE("a guest's IOMMU that cannot tell VFIO what it maps takes no device") {
    world w;
    w.seen.guest.iommu = guest_iommu{"intel-iommu", "it was started without caching-mode=on", true};
    CHECK(w.refused() == names{"guest_iommu"});
    w.port("rp1").bypasses_iommu = true;
    CHECK(w.refused() == names{"guest_iommu"});
    w.seen.guest.iommu->everywhere = false;
    CHECK(w.refused().empty());
    CHECK(w.chosen() == "rp1");
    w.asked.port = "rp0";
    CHECK(w.refused() == names{"guest_iommu"});
    w.seen.guest.iommu->why_not.clear();
    CHECK(w.refused().empty());
}

TEST_CASE("behind a guest's IOMMU a group cannot be in two address spaces") {
    world w;
    guest_device other;
    other.qdev_id = "other";
    other.host = "0000:01:00.1";
    other.bus = "rp0";
    w.seen.guest.devices = {other};
    w.port("rp0").occupants = {"other"};
    CHECK(w.refused().empty());
    w.seen.guest.iommu = guest_iommu{"virtio-iommu-pci", "", false};
    CHECK(w.refused() == names{"guest_iommu"});
    // One that bypasses it and one that does not are apart as well; two that do are not.
    w.port("rp1").bypasses_iommu = true;
    CHECK(w.refused() == names{"guest_iommu"});
    w.port("rp0").bypasses_iommu = true;
    CHECK(w.refused().empty());
    // Behind one bridge to conventional PCI the guest's IOMMU sees one device.
    w.port("rp0").bypasses_iommu = w.port("rp1").bypasses_iommu = false;
    w.seen.guest.devices[0].bus = "br1";
    CHECK(w.chosen() == "br1");
    CHECK(w.refused().empty());
}

TEST_CASE("a QEMU of root that lives where we do gets any device") {
    world w;
    CHECK(w.refused().empty());
    w.seen.view = world::root_view();
    CHECK(w.refused().empty());
    w.seen.view->container_node = false; // made when VFIO's module is loaded
    w.seen.view->may_open_container.reset();
    CHECK(w.refused().empty());
}

TEST_CASE("what a QEMU does not see it cannot be given") {
    for (const auto& change : std::vector<void (*)(process_view&)>{
             [](process_view& view) { view.sees_device = false; },
             [](process_view& view) { view.same_nodes = view.container_node = false; },
             [](process_view& view) { view.same_nodes = false; },
             [](process_view& view) {
                 view.same_nodes = false;
                 view.stale_node = true;
             }}) {
        world w;
        w.seen.view = world::root_view();
        change(*w.seen.view);
        CHECK(w.refused() == names{"node_unreachable"});
        w.asked.driver = assignment_driver::pci_assign; // which needs no node
        w.seen.guest.pci_assign = device_model{"kvm-pci-assign", {}};
        CHECK(w.refused().empty());
    }
    world w;
    w.seen.view = world::root_view();
    w.seen.view->same_nodes = false;
    w.seen.view->group_node = true;
    w.seen.view->may_open_group = true;
    CHECK(w.refused().empty());
}

TEST_CASE("a node that is not there yet may be out of reach for a QEMU without rights") {
    world w;
    w.seen.view = world::user_view();
    CHECK(w.refused() == names{"node_unreachable?"});
    w.seen.view->group_node = true;
    CHECK(w.refused() == names{"node_unreachable?"}); // this kernel cannot be asked
    w.seen.view->may_open_group = false;
    CHECK(w.refused() == names{"node_unreachable"});
    w.seen.view->may_open_group = true;
    CHECK(w.refused().empty());
    w.seen.view->may_open_container = false;
    CHECK(w.refused() == names{"node_unreachable"});
}

TEST_CASE("what nobody can tell is refused and may be forced") {
    world w;
    w.seen.view = world::root_view();
    w.seen.view->devices = process_view::device_rule::unclear;
    w.seen.view->confinement = "libvirt-1 (enforce)";
    CHECK(w.refused() == names{"node_unreachable?", "node_unreachable?"});
    w.seen.view->confinement.clear();
    w.seen.view->devices = process_view::device_rule::denied;
    CHECK(w.refused() == names{"node_unreachable?"});
    w.seen.view = process_view();
    w.seen.view->failure = "Permission denied";
    CHECK(w.refused() == names{"node_unreachable?"});
}
