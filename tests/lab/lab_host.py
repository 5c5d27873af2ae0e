"""The lab's virtual host, as its tests see it."""
import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import lab_tool
from lab_tool import GUEST_RUN, VMPLUG, Qmp, expect, finish, start_vmplug, vmplug, wait_until
from world import World

DEVICES = "/sys/bus/pci/devices/0000:"
FIRST, SECOND, LEFT, RIGHT = "01:00.0", "02:00.0", "04:01.0", "04:02.0"
BRIDGE, HOST_NIC = "00:04.0", "00:03.0"
# What disks and interfaces hang on; examples/lab/README.md says which modules make them appear.
NVME_SRIOV, NVME, VIRTIO_DISK, USB_DISK, USB_NET, SD_CARD = ("05:00.0", "06:00.0", "07:00.0", "08:00.0", "09:00.0",
                                                             "00:10.0")


def driver(device):
    try:
        return os.path.basename(os.readlink(f"{DEVICES}{device}/driver"))
    except OSError:
        return None


def group(device):
    return os.path.basename(os.readlink(f"{DEVICES}{device}/iommu_group"))


def home(device):
    """All that has to be as before: driver, override, netdev and its index, which changes when the
    driver was unbound in between."""
    netdev = os.listdir(f"{DEVICES}{device}/net")[0] if os.path.isdir(f"{DEVICES}{device}/net") else None
    override = open(f"{DEVICES}{device}/driver_override").read().strip()
    index = open(f"/sys/class/net/{netdev}/ifindex").read().strip() if netdev else None
    return {"driver": driver(device), "override": override, "netdev": netdev}, index


def guest(*arguments, seconds=120):
    return subprocess.run(["guest", *arguments], capture_output=True, text=True, timeout=seconds)


def qmp_path(name, kind="qmp2"):
    return f"{GUEST_RUN}/{name}.{kind}"


@contextlib.contextmanager
def all_monitors_held(name):
    """vmplug takes whichever is free, QMP before HMP."""
    with Qmp(qmp_path(name, "qmp")), Qmp(qmp_path(name, "qmp2")), socket.socket(socket.AF_UNIX) as human:
        human.connect(qmp_path(name, "hmp"))
        human.recv(4096)
        yield


def guest_devices(name):
    with Qmp(qmp_path(name)) as qmp:
        return [each["name"] for each in qmp.call("qom-list", path="/machine/peripheral")
                if each["type"].startswith("child<vfio")]


def duplicate_descriptor(pid, link):
    """A descriptor of another process: the file stays open when that process closes its own."""
    directory = f"/proc/{pid}/fd"
    number = next(int(each) for each in os.listdir(directory) if os.readlink(f"{directory}/{each}") == link)
    process = os.pidfd_open(pid)
    mine = ctypes.CDLL(None, use_errno=True).syscall(438, process, number, 0)
    os.close(process)
    expect(mine >= 0, os.strerror(ctypes.get_errno()))
    return mine


def refused(code, *arguments, device=FIRST):
    before = home(device) if device else None
    result = vmplug(*arguments)
    expect(result.code == 3 and result.json["outcome"] == "refused", result)
    expect(code in result.codes + [result.error.get("code")], f"not {code}: {result}")
    expect(result.error["remedy"], f"no remedy: {result}")
    if device:
        expect(home(device) == before, f"{device} was touched: {home(device)} instead of {before}")
    return result


def attached(*arguments):
    result = vmplug("attach", *arguments)
    expect(result.code == 0 and result.json["outcome"] == "done", result)
    return result


def configured(*arguments):
    """The guest drives it, however slow this machine is: one that has not come so far refuses to let go."""
    result = attached(*arguments, "--wait-guest", "90s")
    expect("configured" in [step["findings"].get("guest") for step in result.json["steps"]], result)
    return result


def detached(*arguments):
    result = vmplug("detach", *arguments)
    expect(result.code == 0 and result.json["outcome"] == "done", result)
    return result


def start_guests(*names):
    os.environ["VMPLUG_STATE_DIR"] = "/run/vmplug-state"
    for name in names:
        begin = time.monotonic()
        started = guest("start", name)
        if started.returncode != 0:
            print(f"Bail out! guest {name}: {started.stderr}")
            sys.exit(1)
        print(f"# guest {name} started in {time.monotonic() - begin:.1f} s", flush=True)


def run_tests(tests):
    """After a case that failed the world is as it was before, for those that follow."""
    world = World()
    lab_tool.run_tests(tests, world.begin, world.restore, 0 if os.environ.get("VMPLUG_KILLS") else 600)
