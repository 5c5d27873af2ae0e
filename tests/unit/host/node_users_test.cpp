#include "host/node_users.hpp"
#include "host/read_devices.hpp"
#include "support/invented_tree.hpp"

#include <doctest/doctest.h>

using namespace vmplug;
using vmplug::testing::invented_tree;

namespace {

node_users read(const invented_tree& tree) {
    const auto files = tree.files();
    return read_node_users(files, read_functions(files));
}

} // namespace

TEST_CASE("whoever has any node below a function open is named") {
    const invented_tree tree;
    const auto nic = tree.function("0000:00:02.0", "0x020000", "uio_pci_generic", "7");
    const auto gpu = tree.function("0000:00:03.0", "0x030000", "i915", "8");
    const auto usb = tree.function("0000:00:04.0", "0x0c0330", "xhci_hcd", "9");
    tree.node(nic + "/uio/uio0", "/dev/uio0", "240:0");
    tree.node(gpu + "/drm/renderD128", "/dev/dri/renderD128", "226:128");
    tree.node(usb + "/usb1/1-4", "/dev/bus/usb/001/004", "189:3");
    tree.node("/sys/devices/virtual/mem/null", "/dev/null", "1:3");
    CHECK(read(tree).by_function.empty());
    tree.opens(100, "/dev/uio0");
    tree.opens(100, "/dev/null");
    tree.opens(101, "/dev/dri/renderD128");
    // A container has its nodes elsewhere: the number counts.
    tree.write("/var/lib/container/dev/thing", "c 189:3\n");
    tree.opens(102, "/var/lib/container/dev/thing");
    const auto found = read(tree).by_function;
    REQUIRE(found.size() == 3);
    CHECK(found.at(*parse_host_address("00:02.0"))[0].text ==
          "process 100 (holder) has its uio0 open");
    CHECK(found.at(*parse_host_address("00:02.0"))[0].pid == 100);
    CHECK(found.at(*parse_host_address("00:03.0"))[0].pid == 101);
    CHECK(found.at(*parse_host_address("00:04.0"))[0].pid == 102);
}

TEST_CASE("a raw disk of a guest, and the files of user-space drivers in sysfs") {
    const invented_tree tree;
    const auto nvme = tree.function("0000:00:02.0", "0x010802", "nvme", "7");
    tree.disk(nvme + "/nvme/nvme0/nvme0n1", "259:0");
    tree.link("/sys/dev/block/259:0", "../../devices/pci0000:00/0000:00:02.0/nvme/nvme0/nvme0n1");
    tree.opens(100, "/dev/nvme0n1");
    const auto nic = tree.function("0000:00:03.0", "0x020000", "", "8");
    tree.write(nic + "/resource0", "");
    tree.write(nic + "/uevent", "");
    tree.opens(101, nic + "/resource0");
    tree.opens(102, nic + "/uevent");
    const auto found = read(tree).by_function;
    REQUIRE(found.size() == 2);
    CHECK(found.at(*parse_host_address("00:02.0"))[0].pid == 100);
    REQUIRE(found.at(*parse_host_address("00:03.0")).size() == 1);
    CHECK(found.at(*parse_host_address("00:03.0"))[0].pid == 101);
}

TEST_CASE("users of VFIO's groups, by number, without an IOMMU, and of its devices") {
    const invented_tree tree;
    const auto nic = tree.function("0000:00:02.0", "0x020000", "vfio-pci", "");
    tree.link(nic + "/iommu_group", "../../../kernel/iommu_groups/9");
    tree.node("/sys/devices/virtual/vfio/7", "/dev/vfio/7", "511:0");
    tree.node("/sys/devices/virtual/vfio/noiommu-8", "/dev/vfio/noiommu-8", "511:1");
    tree.node(nic + "/vfio-dev/vfio0", "/dev/vfio/devices/vfio0", "510:0");
    tree.opens(100, "/dev/vfio/7");
    tree.opens(101, "/dev/vfio/noiommu-8");
    tree.opens(102, "/dev/vfio/devices/vfio0");
    const auto found = read(tree);
    CHECK(found.by_function.empty());
    REQUIRE(found.by_group.size() == 3);
    CHECK(found.by_group.at(7)[0].pid == 100);
    CHECK(found.by_group.at(8)[0].pid == 101);
    CHECK(found.by_group.at(9)[0].pid == 102);
}
