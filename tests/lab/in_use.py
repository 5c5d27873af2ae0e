"""What is in use is left alone, whoever uses it and however. Runs inside of the lab's virtual host."""
import contextlib
import glob
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *

NVME, USB_DISK, USB_NIC, CARD, SRIOV = "06:00.0", "08:00.0", "09:00.0", "00:10.0", "05:00.0"


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0 or not check, f"{command}: {done}")
    return done


def appears(path, seconds=30):
    wait_until(lambda: os.path.exists(path), seconds, f"{path} is there")
    return path


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def driver_and_disk(device):
    return driver(device), sorted(os.listdir("/sys/class/block"))


def in_use(device, code, *words, arguments=()):
    """Refused by bind, and told in the same words by `devices` and `check`; nothing is touched."""
    before = driver_and_disk(device), netdevs(device)
    result = vmplug("bind", device, *arguments)
    expect(result.code == 3 and code in result.codes, f"not {code}: {result}")
    texts = [each["text"] for each in result.json["refusals"]]
    for word in words:
        expect(any(word in text for text in texts), f"{word} is not in {texts}")
    shown = vmplug("devices", device).json["devices"][0]
    expect(shown["why_not"] == texts[0] and not shown["assignable"], f"{shown} instead of {texts}")
    listed = [each for each in vmplug("devices").json["devices"] if each["address"] == shown["address"]]
    expect(listed[0]["why_not"] == texts[0], f"{listed} instead of {texts}")
    checked = vmplug("check", device)
    missing = [each["evidence"] for each in checked.json["checks"] if each["state"] == "missing"]
    expect(checked.code == 3 and missing == texts, f"{missing} instead of {texts}")
    expect(checked.error["code"] == result.error["code"], f"{checked} {result}")
    expect((driver_and_disk(device), netdevs(device)) == before, f"{device} was touched")
    return texts


def netdevs(device):
    found = {}
    for name in os.listdir("/sys/class/net"):
        if f"/0000:{device}/" in os.path.realpath(f"/sys/class/net/{name}"):
            found[name] = open(f"/sys/class/net/{name}/ifindex").read().strip()
    return found


def assignable(device):
    result = vmplug("bind", device, "--dry-run")
    expect(result.code == 0, f"{device} should be free: {result}")


@contextlib.contextmanager
def mounted(node, kind, *options):
    run(f"mkfs.{kind}", *(["-F"] if kind == "ext4" else ["-f"]), node)
    run("modprobe", kind, check=False)
    os.makedirs("/run/mounted", exist_ok=True)
    run("mount", *options, node, "/run/mounted")
    try:
        yield "/run/mounted"
    finally:
        run("umount", "/run/mounted", check=False)


def disk_of(device, modules, name):
    if modules:
        run("modprobe", "-a", *modules)
    return appears(appears(f"/sys/class/block/{name}") and f"/dev/{name}")


def nvme_controller():
    """The kernel numbers controllers in the order in which they answer."""
    return os.listdir(appears(f"{DEVICES}{NVME}/nvme"))[0]


def nvme_disks():
    """The namespace's disk: below its controller, or with several paths below the subsystem of that."""
    controller = nvme_controller()
    places = [f"{DEVICES}{NVME}/nvme/{controller}",
              *[each for each in glob.glob("/sys/class/nvme-subsystem/*") if os.path.exists(f"{each}/{controller}")]]
    return [name for place in places for name in os.listdir(place) if re.fullmatch(r"nvme\d+n\d+", name)]


def nvme_disk():
    wait_until(lambda: len(nvme_disks()) == 1, 30, f"the disk is there: {nvme_disks()}")
    return nvme_disks()[0]


def a_file_system_with_numbers_of_its_own():
    node = disk_of(NVME, [], nvme_disk())
    assignable(NVME)
    with mounted(node, "btrfs") as place:
        in_use(NVME, "device_critical", f"{nvme_disk()} is mounted on {place}")
    assignable(NVME)


def an_nvme_disk_that_is_mounted_and_goes_to_no_guest():
    node = disk_of(NVME, [], nvme_disk())
    with mounted(node, "ext4") as place:
        in_use(NVME, "device_critical", f"{nvme_disk()} is mounted on {place}")
        refused("device_critical", "attach", "web", NVME, device=None)
        write(place + "/written", "still there\n")
        expect(open(place + "/written").read() == "still there\n", "the file system is gone")


def a_mount_of_another_mount_namespace():
    node = disk_of(NVME, [], nvme_disk())
    with mounted(node, "ext4") as place:
        holder = subprocess.Popen(["unshare", "-m", "sh", "-c", "echo in; exec sleep 600"], stdout=subprocess.PIPE)
        holder.stdout.readline()
        run("umount", place)
        try:
            in_use(NVME, "device_critical", f"mounted on {place} for process {holder.pid}")
        finally:
            holder.kill()
            holder.wait()
    wait_until(lambda: vmplug("bind", NVME, "--dry-run").code == 0, 30, "the mount ends with its namespace")


def what_this_very_host_lives_on():
    """Its root is shared by the machine around it: a file system without a disk, mounted before the root was
    changed, so that no table has it. Only looked at: to bind it would end the host."""
    result = vmplug("bind", "00:02.0", "--dry-run")
    expect(result.code == 3 and result.codes == ["device_unclear"] and "its driver is in use" in
           result.error["text"], result)


def swap_volumes_and_arrays():
    node = disk_of(NVME, [], nvme_disk())
    run("mkswap", node)
    run("swapon", node)
    try:
        in_use(NVME, "device_critical", f"{nvme_disk()} is swap space")
    finally:
        run("swapoff", node)
    sectors = open(f"/sys/class/block/{nvme_disk()}/size").read().strip()
    run("modprobe", "dm-mod")
    run("dmsetup", "create", "volume", "--table", f"0 {sectors} linear {node} 0")
    try:
        in_use(NVME, "device_critical", f"dm-0 stands on {nvme_disk()}")
    finally:
        run("dmsetup", "remove", "volume")
    assignable(NVME)


def a_disk_that_a_process_has_open_as_it_is():
    node = disk_of(NVME, [], nvme_disk())
    with open(node, "rb"):
        in_use(NVME, "device_in_use", f"process {os.getpid()}", nvme_disk())
    with open(f"/dev/{nvme_controller()}", "rb"):
        in_use(NVME, "device_in_use", f"process {os.getpid()}", f"{nvme_controller()} open")
    assignable(NVME)


def a_stick_behind_two_hubs():
    node = disk_of(USB_DISK, ["xhci_pci", "usb_storage", "sd_mod"], "sda")
    assignable(USB_DISK)
    with mounted(node, "ext4") as place:
        in_use(USB_DISK, "device_critical", f"sda is mounted on {place}")


def a_card_in_an_sd_host():
    node = disk_of(CARD, ["sdhci_pci", "mmc_block"], "mmcblk0")
    assignable(CARD)
    with mounted(node, "ext4") as place:
        in_use(CARD, "device_critical", f"mmcblk0 is mounted on {place}")


@contextlib.contextmanager
def namespace(name):
    run("ip", "netns", "add", name)
    try:
        yield name
    finally:
        run("ip", "netns", "del", name)


def an_interface_in_a_container():
    name = home(FIRST)[0]["netdev"]
    with namespace("pod"):
        run("ip", "link", "set", name, "netns", "pod")
        try:
            in_use(FIRST, "device_critical", f"{name} lives in the network namespace pod")
        finally:
            run("ip", "-n", "pod", "link", "set", name, "netns", "1")
    assignable(FIRST)


def an_interface_that_a_container_stacked_one_on():
    name = home(FIRST)[0]["netdev"]
    run("modprobe", "macvlan")
    run("modprobe", "ipvlan")
    for kind in (["macvlan", "mode", "bridge"], ["ipvlan", "mode", "l2"]):
        with namespace("pod"):
            run("ip", "link", "add", "above", "link", name, "type", *kind)
            run("ip", "link", "set", "above", "netns", "pod")
            in_use(FIRST, "device_critical", f"above in the network namespace pod stands on {name}")
    # The namespace takes its interfaces along a moment later.
    wait_until(lambda: vmplug("bind", FIRST, "--dry-run").code == 0, 30, "nothing stands on it any more")


def an_interface_with_a_program_or_a_capture():
    name = home(FIRST)[0]["netdev"]
    run("ip", "link", "set", name, "up")
    run("ip", "link", "set", name, "promisc", "on")
    try:
        in_use(FIRST, "device_critical", f"{name} takes all packets")
    finally:
        run("ip", "link", "set", name, "promisc", "off")
        run("ip", "link", "set", name, "down")
    assignable(FIRST)


def a_usb_adapter_with_the_default_route():
    run("modprobe", "-a", "xhci_pci", "cdc_ether")
    wait_until(lambda: netdevs(USB_NIC), 30, "the adapter's interface")
    name = list(netdevs(USB_NIC))[0]
    assignable(USB_NIC)
    # An address that comes by itself would come in between.
    write(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "1")
    run("ip", "address", "add", "10.0.8.2/24", "dev", name)
    run("ip", "link", "set", name, "up")
    run("ip", "route", "add", "default", "via", "10.0.8.1", "dev", name, "metric", "9")
    try:
        in_use(USB_NIC, "device_critical", f"{name} carries the default route")
    finally:
        run("ip", "address", "flush", "dev", name)
        run("ip", "link", "set", name, "down")


def another_network_namespace_than_that_of_sysfs():
    for device in (HOST_NIC, FIRST):
        result = subprocess.run(["unshare", "-n", VMPLUG, "bind", device, "--dry-run", "--json"],
                                capture_output=True, text=True)
        answer = json.loads(result.stdout)
        expect(result.returncode == 3 and answer["error"]["code"] == "device_unclear", result)


def without_descriptors_nothing_is_concluded():
    """EMFILE somewhere on the way: whatever could not be read counts as in use."""
    seen = set()
    for most in range(4, 40):
        result = subprocess.run(["prlimit", f"--nofile={most}", VMPLUG, "bind", HOST_NIC, "--dry-run", "--json"],
                                capture_output=True, text=True)
        expect(result.returncode != 0, f"with {most} descriptors: {result}")
        seen.add(result.returncode)
    expect(3 in seen, seen)


def an_alternative_name():
    name = home(FIRST)[0]["netdev"]
    run("ip", "link", "property", "add", "dev", name, "altname", "wan0")
    try:
        shown = vmplug("devices", "wan0").json["devices"][0]
        expect(shown["address"] == "0000:" + FIRST and "wan0" in shown["alternative_names"], shown)
        expect(vmplug("bind", "wan0", "--dry-run").code == 0, "bind by an alternative name")
    finally:
        run("ip", "link", "property", "del", "dev", name, "altname", "wan0")


def a_program_that_drives_a_nic_by_itself():
    before, _ = home(SECOND)
    run("modprobe", "uio_pci_generic")
    write(f"{DEVICES}{SECOND}/driver_override", "uio_pci_generic\n")
    write(f"{DEVICES}{SECOND}/driver/unbind", "0000:" + SECOND)
    write("/sys/bus/pci/drivers_probe", "0000:" + SECOND)
    try:
        with open(appears("/dev/uio0"), "rb"):
            in_use(SECOND, "device_in_use", f"process {os.getpid()}", "uio0")
        with open(f"{DEVICES}{SECOND}/resource0", "rb"):
            in_use(SECOND, "device_in_use", f"process {os.getpid()}", "resource0")
        assignable(SECOND)
    finally:
        write(f"{DEVICES}{SECOND}/driver_override", "\n")
        write(f"{DEVICES}{SECOND}/driver/unbind", "0000:" + SECOND)
        write("/sys/bus/pci/drivers_probe", "0000:" + SECOND)
        wait_until(lambda: home(SECOND)[0]["netdev"], 30, "the interface is back")
        if home(SECOND)[0]["netdev"] != before["netdev"]:
            run("ip", "link", "set", home(SECOND)[0]["netdev"], "name", before["netdev"])


def an_ordinary_member_of_class_06():
    """The ISA bridge has an ordinary header: with a driver it stands in its group's way."""
    group = os.path.realpath(f"{DEVICES}00:1f.0/iommu_group")
    write(f"{DEVICES}00:1f.0/driver_override", "pci-stub\n")
    assignable("00:1f.2")
    run("modprobe", "-a", "i2c_i801")
    wait_until(lambda: driver("00:1f.3"), 30, "the SMBus has a driver")
    try:
        in_use("00:1f.2", "group_not_viable", "00:1f.3")
        expect(vmplug("bind", "00:1f.2", "--dry-run", "--with-group").code == 0, "with its group")
        result = vmplug("bind", "00:1f.2", "--with-group")
        expect(result.code == 0 and driver("00:1f.3") == "vfio-pci", f"{result} {group}")
        expect(vmplug("bind", "00:1f.0", "--dry-run").code == 0, "the ISA bridge can be bound")
        expect(vmplug("release", "00:1f.2").code == 0 and driver("00:1f.3") == "i801_smbus", driver("00:1f.3"))
    finally:
        write(f"{DEVICES}00:1f.0/driver_override", "\n")
        run("modprobe", "-r", "i2c_i801", check=False)


@contextlib.contextmanager
def virtual_function():
    write(f"{DEVICES}{SRIOV}/sriov_drivers_autoprobe", "0")
    write(f"{DEVICES}{SRIOV}/sriov_numvfs", "1")
    try:
        yield os.path.basename(os.readlink(f"{DEVICES}{SRIOV}/virtfn0"))[5:]
    finally:
        write(f"{DEVICES}{SRIOV}/sriov_numvfs", "0")


def a_virtual_function_goes_and_comes_back():
    with virtual_function() as device:
        expect(open(f"{DEVICES}{device}/config", "rb").read(4) == b"\xff" * 4, "its ids read as ones")
        expect(vmplug("check", device).code == 0, vmplug("check", device))
        assignable(device)
        in_use(SRIOV, "device_critical", "virtual function")
        result = vmplug("bind", device)
        expect(result.code == 0 and driver(device) == "vfio-pci", result)
        result = vmplug("release", device)
        expect(result.code == 0 and driver(device) is None, result)
        attached("web", device, "--id", "vf0", "--wait-guest", "0s")
        expect(guest_devices("web") == ["vf0"] and driver(device) == "vfio-pci", guest_devices("web"))
        detached("web", "vf0", "--timeout", "40s")
        expect(driver(device) is None and guest_devices("web") == [], driver(device))


start_guests("web")
run_tests([a_virtual_function_goes_and_comes_back, what_this_very_host_lives_on, a_file_system_with_numbers_of_its_own,
           an_nvme_disk_that_is_mounted_and_goes_to_no_guest, a_mount_of_another_mount_namespace,
           swap_volumes_and_arrays, a_disk_that_a_process_has_open_as_it_is, a_stick_behind_two_hubs,
           a_card_in_an_sd_host, an_interface_in_a_container, an_interface_that_a_container_stacked_one_on,
           an_interface_with_a_program_or_a_capture, a_usb_adapter_with_the_default_route,
           another_network_namespace_than_that_of_sysfs, without_descriptors_nothing_is_concluded,
           an_alternative_name, a_program_that_drives_a_nic_by_itself, an_ordinary_member_of_class_06])
