"""What a guest's QEMU is, sees and may open, on a real kernel: refused before the host gives anything away."""
import contextlib
import ctypes
import os
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *

RUN = "/run/view"
NOBODY = 65534
ROOT_PORTS = ["-device", "pcie-root-port,id=rp0,chassis=1,slot=1", "-device", "pcie-root-port,id=rp1,chassis=2,slot=2"]


@contextlib.contextmanager
def qemu(*arguments, through=(), machine="q35", ports=ROOT_PORTS, owner=NOBODY):
    """A QEMU called `view` that waits for its start, run through other programs; its QMP socket and pid."""
    shutil.rmtree(RUN, ignore_errors=True)
    os.makedirs(RUN)
    os.chown(RUN, owner, owner)
    path = RUN + "/qmp"
    with open("/run/view.log", "w") as log:
        process = subprocess.Popen([*through, "qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-m", "64",
                                    "-name", "guest=view", "-machine", machine, *ports, "-qmp",
                                    f"unix:{path},server=on,wait=off", *arguments], stderr=log)

    def answers():
        expect(process.poll() is None, open("/run/view.log").read())
        try:
            Qmp(path).close()
            return True
        except OSError:
            return False

    try:
        wait_until(answers, 60, "QEMU runs")
        yield process, path
    finally:
        process.kill()
        process.wait()
        vmplug("recover")
        for device in (FIRST, LEFT):
            if any(each["device"] == "0000:" + device for each in vmplug("list").json["assignments"]):
                vmplug("release", device)


def attach(*arguments, vm="view"):
    return vmplug("attach", vm, FIRST, "--id", "nic0", "--wait-guest", "0s", *arguments)


def refused_and_foreseen(code, vm="view"):
    """`check` says of it what attach refuses it for."""
    result = refused(code, "attach", vm, FIRST)
    words = [each["text"] for each in result.json["refusals"] if each["code"] == code]
    rows = vmplug("check", FIRST, "--vm", vm).json["checks"]
    expect(words[0] in [each["evidence"] for each in rows if each["state"] == "missing"], f"{words} {rows}")
    return words[0]


def works():
    before, _ = home(FIRST)
    result = attach()
    expect(result.code == 0, result)
    return before


def own_dev(*nodes):
    """A mount namespace with a /dev that is not ours."""
    made = " && ".join(["mount -t tmpfs none /run/dev", "mkdir /run/dev/vfio", "mknod /run/dev/null c 1 3",
                        "mknod /run/dev/urandom c 1 9", *nodes, "mount --move /run/dev /dev"])
    os.makedirs("/run/dev", exist_ok=True)
    return ["unshare", "-m", "sh", "-c", f'{made} && exec "$@"', "sh"]


def a_qemu_with_a_dev_of_its_own():
    with qemu(through=own_dev()):
        words = refused_and_foreseen("node_unreachable")
        expect("/dev of its own" in words, words)


def a_node_that_was_made_for_it_is_seen():
    with qemu(through=own_dev("mknod /run/dev/vfio/vfio c 10 196")) as (process, _):
        words = refused_and_foreseen("node_unreachable")
        expect("no node appears" in words, words)
        # What the remedy says.
        before, _ = home(FIRST)
        expect(vmplug("bind", FIRST).code == 0, "bind")
        refused("node_unreachable", "attach", "view", FIRST)
        node = os.stat(f"/dev/vfio/{group(FIRST)}").st_rdev
        made = subprocess.run(["nsenter", "-t", str(process.pid), "-m", "mknod", f"/dev/vfio/{group(FIRST)}", "c",
                               str(os.major(node)), str(os.minor(node))], capture_output=True, text=True)
        expect(made.returncode == 0, made)
        result = attach()
        expect(result.code == 0, result)
    expect(home(FIRST)[0] == before, home(FIRST))


def another_node_of_that_name_is_none():
    name = group(FIRST)
    with qemu(through=own_dev("mknod /run/dev/vfio/vfio c 10 196", f"mknod /run/dev/vfio/{name} c 1 3")):
        words = refused_and_foreseen("node_unreachable")
        expect("another node" in words, words)


def a_dev_without_devices():
    """The very node, in a file system that is mounted nodev."""
    bound = ["unshare", "-m", "sh", "-c", 'mount --bind /dev /run/dev && mount -o remount,bind,nodev /run/dev && '
             'mount --move /run/dev /dev && exec "$@"', "sh"]
    os.makedirs("/run/dev", exist_ok=True)
    with qemu(through=bound):
        words = refused_and_foreseen("node_unreachable")
        expect("may not open" in words, words)


def a_qemu_in_a_chroot():
    os.makedirs("/run/jail", exist_ok=True)
    with qemu("-chroot", "/run/jail"):
        words = refused_and_foreseen("node_unreachable")
        expect("/sys" in words, words)


def a_qemu_without_rights_gets_a_node_that_was_given_to_it():
    for through, give in ((["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"],
                           lambda node: os.chown(node, NOBODY, 0)),
                          # By a group that is not its first.
                          (["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--groups", "1234"],
                           lambda node: (os.chown(node, 0, 1234), os.chmod(node, 0o660)))):
        with qemu(through=through) as (process, _):
            vm = str(process.pid) # of another user: a name would not do
            words = refused_and_foreseen("node_unreachable", vm)
            expect("cannot be told" in words and str(NOBODY) in words, words)
            before, _ = home(FIRST)
            expect(vmplug("bind", FIRST).code == 0, "bind")
            words = refused_and_foreseen("node_unreachable", vm)
            expect("may not open" in words, words)
            refused("node_unreachable", "attach", vm, FIRST, "--force")
            give(f"/dev/vfio/{group(FIRST)}")
            result = attach(vm=vm)
            expect(result.code == 0, result)
            # That it may open this one says nothing of the next.
            refused("node_unreachable", "attach", vm, SECOND, device=SECOND)
        expect(home(FIRST)[0] == before, home(FIRST))


def root_without_capabilities_is_nobody_special():
    with qemu(through=["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"], owner=0):
        # It owns the node that the kernel makes, but that is not known before.
        refused_and_foreseen("node_unreachable")
        result = attach("--force")
        expect(result.code == 0 and any("forced" in each for each in result.json["notes"]), result)


def a_guest_with_an_iommu_that_does_not_tell():
    with qemu("-device", "intel-iommu"):
        words = refused_and_foreseen("guest_iommu")
        expect("caching-mode" in words, words)
        refused("guest_iommu", "attach", "view", FIRST, "--force")
    with qemu("-device", "intel-iommu,caching-mode=on"):
        works()
    with qemu("-device", "intel-iommu", machine="q35,default-bus-bypass-iommu=on"):
        refused_and_foreseen("guest_iommu")
    with qemu("-device", "amd-iommu"):
        refused_and_foreseen("guest_iommu")
    # A bus that bypasses it is taken by itself.
    with qemu("-device", "amd-iommu", "-device", "pxb-pcie,id=px,bus_nr=32,bypass_iommu=on",
              "-device", "pcie-root-port,id=zz,chassis=9,slot=9,bus=px"):
        works()
        with Qmp(RUN + "/qmp") as qmp:
            expect(qmp.call("qom-get", path="/machine/peripheral/nic0", property="parent_bus").endswith("/zz"), "zz")


def a_second_member_of_a_group_behind_a_guests_iommu():
    before = home(LEFT)[0], home(RIGHT)[0]
    for options in (["-device", "intel-iommu,caching-mode=on"], ["-device", "virtio-iommu-pci"]):
        with qemu(*options):
            attached("view", LEFT, "--id", "left", "--with-group", "--wait-guest", "0s")
            result = refused("guest_iommu", "attach", "view", RIGHT, device=RIGHT)
            expect(LEFT in result.error["text"], result)
            with Qmp(RUN + "/qmp") as qmp: # QEMU's own answer
                answer = qmp.call("device_add", driver="vfio-pci", host=RIGHT, id="right", bus="rp1")
                expect("multiple address spaces" in answer.get("desc", ""), answer)
        expect((home(LEFT)[0], home(RIGHT)[0]) == before, f"{home(LEFT)} {home(RIGHT)}")
    # One bridge to conventional PCI is one device to the guest's IOMMU.
    with qemu("-device", "intel-iommu,caching-mode=on", ports=["-device", "pcie-pci-bridge,id=br1"]):
        attached("view", LEFT, "--id", "left", "--with-group", "--wait-guest", "0s")
        attached("view", RIGHT, "--id", "right", "--wait-guest", "0s")


def a_device_that_it_was_started_with():
    before, _ = home(FIRST)
    real = os.path.realpath(DEVICES + FIRST)
    for option in ("sysfsdev=" + DEVICES + FIRST, "sysfsdev=" + real, "host=" + FIRST):
        expect(vmplug("bind", FIRST).code == 0, "bind")
        with qemu("-device", f"vfio-pci,{option},bus=rp0"):
            refused("device_assigned", "attach", "view", FIRST)
            devices = vmplug("ports", "view").json["devices"]
            expect("0000:" + FIRST in [each["host"] for each in devices], devices)
    wait_until(lambda: home(FIRST)[0] == before, 20, f"{home(FIRST)} instead of {before}")


def buses_that_take_nothing():
    for machine, options in (("pc,acpi=off", []),
                             ("pc", ["-global", "PIIX4_PM.acpi-root-pci-hotplug=off"]),
                             ("q35", ["-device", "pcie-root-port,id=rp9,chassis=9,hotplug=off"])):
        with qemu(*options, machine=machine, ports=[]):
            refused_and_foreseen("no_free_port")


def a_bridge_with_a_controller_of_its_own():
    with qemu(machine="pc-q35-6.0", ports=["-device", "pcie-pci-bridge,id=br1"]):
        works()
        with Qmp(RUN + "/qmp") as qmp:
            expect(qmp.call("qom-get", path="/machine/peripheral/nic0", property="addr") == 8, "not in slot 1")


def a_full_bus_is_passed_over():
    full = [word for slot in range(2, 31) for word in ("-device", f"e1000,addr={slot:x}")]
    with qemu(*full, "-device", "pci-bridge,id=br1,chassis_nr=3,addr=1f", machine="pc", ports=[]):
        works()
        with Qmp(RUN + "/qmp") as qmp:
            expect(qmp.call("qom-get", path="/machine/peripheral/nic0", property="parent_bus").endswith("/br1"), "br1")


def in_group(directory):
    os.makedirs(directory, exist_ok=True)
    return ["sh", "-c", f'echo $$ >{directory}/cgroup.procs && exec "$@"', "sh"]


def allow_devices_by_program(directory):
    """What systemd and libvirt do: a program that decides on device nodes. This one allows all."""
    libc = ctypes.CDLL(None, use_errno=True)

    def bpf(command, attributes):
        buffer = ctypes.create_string_buffer(attributes, 128)
        result = libc.syscall(321, command, buffer, 128)
        expect(result >= 0, os.strerror(ctypes.get_errno()))
        return result

    program = struct.pack("<BBhiBBhi", 0xb7, 0, 0, 1, 0x95, 0, 0, 0) # r0 = 1; exit
    code, licence = ctypes.create_string_buffer(program, 16), ctypes.create_string_buffer(b"GPL")
    loaded = bpf(5, struct.pack("<IIQQ", 15, 2, ctypes.addressof(code), ctypes.addressof(licence)))
    target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    bpf(8, struct.pack("<IIII", target, loaded, 6, 0))
    os.close(target)
    os.close(loaded)


def a_control_group_that_rules_over_devices():
    os.makedirs("/run/cgroup2", exist_ok=True)
    expect(subprocess.run(["mount", "-t", "cgroup2", "none", "/run/cgroup2"]).returncode == 0, "cgroup2")
    try:
        with qemu(through=in_group("/run/cgroup2/plain")):
            works()
        with qemu(through=in_group("/run/cgroup2/ruled/below")):
            allow_devices_by_program("/run/cgroup2/ruled")
            words = refused_and_foreseen("node_unreachable")
            expect("a program decides" in words, words)
            expect(attach("--force").code == 0, "forced")
    finally:
        subprocess.run(["umount", "/run/cgroup2"], check=True)


def a_control_group_with_a_list_of_devices():
    os.makedirs("/run/devices", exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "cgroup", "-o", "devices", "none", "/run/devices"])
    expect(mounted.returncode == 0, "cgroup of devices")
    try:
        through = in_group("/run/devices/ruled")
        with open("/run/devices/ruled/devices.deny", "w") as deny:
            deny.write("a")
        for allowed in ("c 1:* rwm", "c 5:* rwm", "c 136:* rwm"):
            with open("/run/devices/ruled/devices.allow", "w") as allow:
                allow.write(allowed)
        with qemu(through=through):
            refused_and_foreseen("node_unreachable")
            vfio = next(line.split()[0] for line in open("/proc/devices") if line.split()[1:] == ["vfio"])
            for allowed in ("c 10:196 rw", f"c {vfio}:* rw"):
                with open("/run/devices/ruled/devices.allow", "w") as allow:
                    allow.write(allowed)
            works()
    finally:
        subprocess.run(["umount", "/run/devices"], check=True)


def nothing_is_left_behind():
    for device, name in ((FIRST, "e1000e"), (SECOND, "e1000e"), (LEFT, "e1000"), (RIGHT, "e1000")):
        wait_until(lambda: home(device)[0]["driver"] == name, 20, f"{home(device)}")
    expect(vmplug("list").json["assignments"] == [], "assignments are left")


os.environ["VMPLUG_STATE_DIR"] = "/run/vmplug-state"
run_tests([
    buses_that_take_nothing,
    a_bridge_with_a_controller_of_its_own,
    a_full_bus_is_passed_over,
    a_device_that_it_was_started_with,
    a_qemu_with_a_dev_of_its_own,
    a_node_that_was_made_for_it_is_seen,
    another_node_of_that_name_is_none,
    a_dev_without_devices,
    a_qemu_in_a_chroot,
    a_qemu_without_rights_gets_a_node_that_was_given_to_it,
    root_without_capabilities_is_nobody_special,
    a_guest_with_an_iommu_that_does_not_tell,
    a_second_member_of_a_group_behind_a_guests_iommu,
    a_control_group_that_rules_over_devices,
    a_control_group_with_a_list_of_devices,
    nothing_is_left_behind,
])
