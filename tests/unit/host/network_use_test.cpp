#include "host/network_use.hpp"
#include "host/read_devices.hpp"
#include "support/invented_tree.hpp"

#include <doctest/doctest.h>

using namespace vmplug;
using vmplug::testing::invented_tree;

namespace {

using texts = std::vector<std::string>;

/// A tree with interfaces, and what rtnetlink would tell of them.
struct world {
    invented_tree tree;
    network_view view;

    /// Interface `name` below a device; both sides show it.
    network_interface& interface(const std::string& device, const std::string& name) {
        const int index = static_cast<int>(view.ours->size()) + 1;
        const auto mac = "02:00:00:00:00:0" + std::to_string(index);
        tree.netdev(device + "/net/" + name, index, mac);
        auto& entry = (*view.ours)[index];
        entry.index = index;
        entry.name = name;
        entry.mac = mac;
        return entry;
    }
    texts told(const std::string& address) const {
        const auto files = tree.files();
        texts found;
        for (const auto& [owner, uses] : read_network_uses(files, read_functions(files), view))
            if (format_address(owner) == address)
                for (const auto& use : uses)
                    found.push_back((use.is == device_use::kind::unclear ? "?" : "") + use.text);
        return found;
    }
};

} // namespace

TEST_CASE("what an interface of ours is used for") {
    world w;
    const auto nic = w.tree.function("0000:00:02.0", "0x020000", "igb", "7");
    auto& eth0 = w.interface(nic, "eth0");
    CHECK(w.told("0000:00:02.0").empty());
    eth0.default_route = true;
    eth0.master = "br0";
    eth0.addresses = {"10.0.0.1/24"};
    eth0.stacked = {"eth0.7"};
    eth0.express_path = true;
    CHECK(w.told("0000:00:02.0").size() == 5);
    eth0 = {eth0.index, "eth0", {}, eth0.mac, {}, {}, {}, false, false, 1, 0, -1, {}, {}};
    CHECK(w.told("0000:00:02.0") ==
          texts{"eth0 takes all packets for somebody (a bridge, a capture, a macvlan)"});
}

TEST_CASE("interfaces are found below anything") {
    world w;
    const auto nic = w.tree.function("0000:00:02.0", "0x020000", "mlx5_core", "7");
    w.interface(nic + "/mlx5_core.sf.4", "enp2s0f0s88").default_route = true;
    const auto usb = w.tree.function("0000:00:03.0", "0x0c0330", "xhci_hcd", "8");
    w.interface(usb + "/usb1/1-1/1-1:1.0", "enx0").default_route = true;
    const auto bolt = w.tree.function("0000:00:04.0", "0x0c0340", "thunderbolt", "9");
    w.interface(bolt + "/domain0/0-0/0-1/0-1.0", "thunderbolt0").default_route = true;
    const auto other = w.tree.function("0000:00:05.0", "0x020000", "virtio-pci", "10");
    w.interface(other + "/virtio2", "ens5").default_route = true;
    for (const auto* address : {"0000:00:02.0", "0000:00:03.0", "0000:00:04.0", "0000:00:05.0"})
        CHECK(w.told(address).size() == 1);
    CHECK(w.told("0000:00:03.0") == texts{"enx0 carries the default route"});
}

TEST_CASE("an interface in another namespace, named where the kernel names its device") {
    world w;
    const auto nic = w.tree.function("0000:00:02.0", "0x020000", "e1000e", "7");
    w.tree.make_directory(nic + "/net");
    CHECK(w.told("0000:00:02.0") ==
          texts{"its network interface lives in another network namespace"});
    other_network pod;
    pod.name = "pod";
    pod.interfaces[5].name = "eth1";
    pod.interfaces[5].parent_bus = "pci";
    pod.interfaces[5].parent_name = "0000:00:02.0";
    w.view.others.push_back(pod);
    const texts named{"its network interface eth1 lives in the network namespace pod"};
    CHECK(w.told("0000:00:02.0") == named);
    // Another interface of the same function stayed here: the directory is not empty.
    w.interface(nic, "eth0");
    CHECK(w.told("0000:00:02.0") == named);
}

TEST_CASE("an interface of a deeper device in another namespace") {
    world w;
    const auto usb = w.tree.function("0000:00:03.0", "0x0c0330", "xhci_hcd", "8");
    w.tree.make_directory(usb + "/usb1/1-1/1-1:1.0/net");
    w.tree.link("/sys/bus/usb/devices/1-1:1.0",
                "../../../devices/pci0000:00/0000:00:03.0/usb1/1-1/1-1:1.0");
    CHECK(w.told("0000:00:03.0") ==
          texts{"its network interface lives in another network namespace"});
}

TEST_CASE("what a container stacked on an interface of ours") {
    world w;
    auto& eth0 = w.interface(w.tree.function("0000:00:02.0", "0x020000", "e1000e", "7"), "eth0");
    other_network pod;
    pod.name = "pod";
    pod.our_id = 3;
    pod.interfaces[2].name = "macvlan0";
    pod.interfaces[2].link = eth0.index;
    pod.interfaces[2].link_namespace = 4; // on an interface of a third namespace
    w.view.others.push_back(pod);
    CHECK(w.told("0000:00:02.0").empty());
    w.view.others[0].interfaces[2].link_namespace = 3;
    CHECK(w.told("0000:00:02.0") == texts{"macvlan0 in the network namespace pod stands on eth0"});
}

TEST_CASE("what cannot be told of the network is said to be so") {
    world w;
    auto& eth0 = w.interface(w.tree.function("0000:00:02.0", "0x020000", "e1000e", "7"), "eth0");
    const auto unclear = [&] {
        const auto found = w.told("0000:00:02.0");
        return found.size() == 1 && found[0].starts_with("?");
    };
    // Another namespace may have an interface of that name, and of that index.
    eth0.mac = "02:00:00:00:00:99";
    CHECK(unclear());
    eth0.mac = "02:00:00:00:00:01";
    CHECK(!unclear());
    w.view.not_seen = "/proc/7/ns/net cannot be read";
    CHECK(unclear());
    w.view.ours = error{error_code::host_io, "rtnetlink", "Too many open files", {}};
    CHECK(unclear());
}

TEST_CASE("alternative names") {
    world w;
    auto& eth0 = w.interface(w.tree.function("0000:00:02.0", "0x020000", "e1000e", "7"), "eth0");
    eth0.alternative_names = {"wan0"};
    auto functions = read_functions(w.tree.files());
    add_alternative_names(w.view, functions);
    CHECK(functions[0].alternative_names == texts{"wan0"});
}
