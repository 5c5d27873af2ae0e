#include "host/disk_use.hpp"
#include "host/read_devices.hpp"
#include "support/invented_tree.hpp"

#include <doctest/doctest.h>

#include <filesystem>

using namespace vmplug;
using vmplug::testing::invented_tree;

namespace {

/// What is told of the disks of the only function, or of the function of that number.
std::vector<std::string> told(const invented_tree& tree, std::size_t number = 0) {
    const auto files = tree.files();
    const auto functions = read_functions(files);
    std::vector<std::string> texts;
    for (const auto& use : disk_uses(files, paths_of(functions)).uses_of(functions.at(number)))
        texts.push_back((use.is == device_use::kind::unclear ? "?" : "") + use.text);
    return texts;
}

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("mounts and swap are named through LVM, and by the source where there is no number") {
    const invented_tree tree;
    const auto disk =
        tree.function("0000:00:03.0", "0x010802", "nvme", "8") + "/nvme/nvme0/nvme0n1";
    tree.disk(disk, "259:0");
    tree.partition(disk, "nvme0n1p1", "259:1");
    tree.partition(disk, "nvme0n1p2", "259:2");
    tree.partition(disk, "nvme0n1p3", "259:3");
    tree.disk("/sys/devices/virtual/block/dm-0", "254:0");
    tree.make_directory(disk + "/nvme0n1p1/holders/dm-0");
    tree.write("/proc/swaps", "Filename Type\n/dev/nvme0n1p2 partition 1 0 -2\n");
    tree.write("/proc/self/mountinfo",
               "21 1 254:0 / / rw - ext4 /dev/dm-0 rw\n"
               "22 21 0:44 / /srv/with\\040blank rw shared:1 - btrfs /dev/nvme0n1p3 rw\n");
    CHECK(told(tree) == texts{"dm-0 is mounted on /", "nvme0n1p2 is swap space",
                              "nvme0n1p3 is mounted on /srv/with blank"});
}

TEST_CASE("however deep and of whatever transport a disk is") {
    const invented_tree tree;
    const auto hba = tree.function("0000:00:01.0", "0x010700", "mpt3sas", "1");
    tree.disk(hba + "/host0/port-0:0/expander-0:0/port-0:0:3/expander-0:1/port-0:1:2/"
                    "end_device-0:1:2/target0:0:1/0:0:1:0/block/sda",
              "8:0");
    const auto usb = tree.function("0000:00:02.0", "0x0c0330", "xhci_hcd", "2");
    tree.disk(usb + "/usb1/1-1/1-1.1/1-1.1.1/1-1.1.1:1.0/host1/target1:0:0/1:0:0:0/block/sdb",
              "8:16");
    const auto card = tree.function("0000:00:03.0", "0x080501", "sdhci-pci", "3");
    tree.disk(card + "/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "179:0");
    const auto later = tree.function("0000:00:04.0", "0xff0000", "of-tomorrow", "4");
    tree.disk(later + "/a-bus-of-tomorrow/x0/block/tmr0", "300:0");
    tree.write("/proc/self/mountinfo", "1 0 8:0 / / rw - ext4 /dev/sda rw\n"
                                       "2 1 8:16 / /usb rw - ext4 /dev/sdb rw\n"
                                       "3 1 179:0 / /card rw - ext4 /dev/mmcblk0 rw\n"
                                       "4 1 300:0 / /later rw - ext4 /dev/tmr0 rw\n");
    CHECK(told(tree, 0) == texts{"sda is mounted on /"});
    CHECK(told(tree, 1) == texts{"sdb is mounted on /usb"});
    CHECK(told(tree, 2) == texts{"mmcblk0 is mounted on /card"});
    CHECK(told(tree, 3) == texts{"tmr0 is mounted on /later"});
}

TEST_CASE("the head of a multipath NVMe disk belongs to all of its controllers") {
    const invented_tree tree;
    const auto first = tree.function("0000:00:03.0", "0x010802", "nvme", "8");
    const auto second = tree.function("0000:00:04.0", "0x010802", "nvme", "9");
    tree.device("nvme", first + "/nvme/nvme0");
    tree.device("nvme", second + "/nvme/nvme1");
    tree.device("block", first + "/nvme/nvme0/nvme0c0n1"); // hidden: no number
    const std::string subsystem = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0";
    tree.link(subsystem + "/nvme0", "../../../pci0000:00/0000:00:03.0/nvme/nvme0");
    tree.link(subsystem + "/nvme1", "../../../pci0000:00/0000:00:04.0/nvme/nvme1");
    tree.disk(subsystem + "/nvme0n1", "259:0");
    tree.partition(subsystem + "/nvme0n1", "nvme0n1p1", "259:1");
    tree.write("/proc/self/mountinfo", "1 0 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n");
    CHECK(told(tree, 0) == texts{"nvme0n1p1 is mounted on /"});
    CHECK(told(tree, 1) == texts{"nvme0n1p1 is mounted on /"});
}

TEST_CASE("what no table explains is asked of the kernel") {
    const invented_tree tree;
    const auto disk =
        tree.function("0000:00:03.0", "0x010802", "nvme", "8") + "/nvme/nvme0/nvme0n1";
    tree.disk(disk, "259:0", "free");
    tree.partition(disk, "nvme0n1p1", "259:1");
    tree.write("/proc/self/mountinfo", "1 0 8:0 / / rw - ext4 /dev/sda rw\n");
    CHECK(told(tree).empty());
    // ZFS, or a mount in a namespace that nobody shows.
    tree.write("/dev/nvme0n1", "b 259:0 taken\n");
    REQUIRE(told(tree).size() == 1);
    CHECK(told(tree)[0].starts_with("nvme0n1 is in use: the kernel refuses it"));
    tree.link("/proc/self/ns/mnt", "mnt:[1]");
    tree.link("/proc/77/ns/mnt", "mnt:[2]");
    tree.write("/proc/77/comm", "postgres\n");
    tree.write("/proc/77/mountinfo", "9 1 259:1 / /data rw - xfs /dev/nvme0n1p1 rw\n");
    CHECK(told(tree) == texts{"nvme0n1p1 is mounted on /data for process 77 (postgres)"});
    // A volume that is not mounted.
    tree.make_directory(disk + "/nvme0n1p1/holders/md127");
    CHECK(told(tree) == texts{"md127 stands on nvme0n1p1"});
}

TEST_CASE("what cannot be asked is said to be so") {
    const invented_tree tree;
    const auto disk =
        tree.function("0000:00:03.0", "0x010802", "nvme", "8") + "/nvme/nvme0/nvme0n1";
    tree.disk(disk, "259:0", "not for you");
    tree.write("/proc/self/mountinfo", "");
    REQUIRE(told(tree).size() == 1);
    CHECK(told(tree)[0].starts_with("?whether the disk nvme0n1 is in use cannot be told"));
    tree.write("/dev/nvme0n1", "b 259:0 free\n");
    CHECK(told(tree).empty());
    std::filesystem::remove(tree.files().root() + "/proc/self/mountinfo");
    REQUIRE(told(tree).size() == 1);
    CHECK(told(tree)[0].starts_with("?what is mounted cannot be read"));
}

TEST_CASE("a file system that the machine around shares has no disk") {
    const invented_tree tree;
    const auto share = tree.function("0000:00:03.0", "0x000200", "virtio-pci", "8");
    tree.write(share + "/virtio1/mount_tag", std::string("root\0", 5));
    tree.link("/sys/bus/virtio/devices/virtio1",
              "../../../devices/pci0000:00/0000:00:03.0/virtio1");
    tree.write("/proc/self/mountinfo", "1 0 0:23 / /ro ro - 9p root rw,trans=virtio\n");
    CHECK(told(tree) == texts{"its file system root is mounted on /ro"});
    tree.write("/proc/self/mountinfo", "1 0 0:23 / /ro ro - 9p other rw,trans=virtio\n");
    REQUIRE(told(tree).size() == 1);
    CHECK(told(tree)[0].starts_with("?whether its file system root is mounted cannot be told"));
    tree.write(share + "/virtio1/driver/module/refcnt", "1\n");
    CHECK(told(tree).size() == 1);
    tree.write(share + "/virtio1/driver/module/refcnt", "0\n");
    CHECK(told(tree).empty());
}
