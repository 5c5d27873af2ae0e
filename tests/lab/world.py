"""The virtual host as it was, and the way back to it after a case that failed.

A case that fails stops in its middle: a device is with a guest, a guest is paused, an interface is called
something else, a disk is mounted. What comes after it is to find the world that it expects.
"""
import glob
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import GUEST_RUN, vmplug

PCI = "/sys/bus/pci"
DEVICES = PCI + "/devices/"
SECONDS_MAX = 20


def text(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def link_name(path):
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def names_in(directory):
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def write(path, value):
    """One system call. What the kernel refuses shows in the comparison that follows."""
    try:
        with open(path, "wb", buffering=0) as file:
            file.write(value.encode())
    except OSError:
        pass


def run(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def come_true(condition):
    end = time.monotonic() + SECONDS_MAX
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def interfaces():
    """By name: what `ip` tells, as far as a case may change it."""
    return {each["ifname"]: {"up": "UP" in each["flags"], "mtu": each["mtu"], "mac": each.get("address"),
                             "master": each.get("master"), "altnames": sorted(each.get("altnames", [])),
                             "addresses": sorted(f"{one['local']}/{one['prefixlen']}" for one in each["addr_info"]
                                                 if one["family"] == "inet")}
            for each in json.loads(run("ip", "-j", "address") or "[]") if "ifname" in each}


def functions():
    """By address: driver, override, VFs, and the names of interfaces."""
    return {address: {"driver": link_name(f"{DEVICES}{address}/driver"),
                      "override": text(f"{DEVICES}{address}/driver_override"),
                      "VFs": text(f"{DEVICES}{address}/sriov_numvfs"),
                      "interfaces": names_in(f"{DEVICES}{address}/net")
                      or [name for port in glob.glob(f"{DEVICES}{address}/virtio*/net") for name in names_in(port)]}
            for address in names_in(DEVICES)}


def mounts():
    return [line.split()[4] for line in (text("/proc/self/mountinfo") or "").splitlines()]


def guests():
    """As `guest pid` finds them, without starting it for each."""
    names = [os.path.basename(each)[:-4] for each in sorted(glob.glob(GUEST_RUN + "/*.pid"))]
    return [name for name in names
            if f"guest={name}" in (text(f"/proc/{text(f'{GUEST_RUN}/{name}.pid')}/cmdline") or "").split("\0")]


def processes():
    """Those with a program: not the kernel's own."""
    return {int(each) for each in os.listdir("/proc") if each.isdigit() and link_name(f"/proc/{each}/exe")}


def snapshot():
    return {"functions": functions(), "interfaces": interfaces(), "mounts": mounts(),
            "routes": run("ip", "route").splitlines(), "namespaces": names_in("/run/netns"),
            "swap": (text("/proc/swaps") or "").splitlines()[1:], "arrays": sorted(glob.glob("/dev/md[0-9]*")),
            "mapped": [each for each in names_in("/dev/mapper") if each != "control"]}


def differences(was, now, where=""):
    """One line for each leaf that differs."""
    if not isinstance(was, dict) or not isinstance(now, dict):
        return [f"{where}: {now!r}, was {was!r}"] if was != now else []
    lines = []
    for key in {**was, **now}:
        lines += differences(was.get(key), now.get(key), f"{where} {key}".strip())
    return lines


def stop_everything_since(known):
    for name in guests():
        run("guest", "stop", name)
    for pid in processes() - known - {os.getpid()}:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def give_back_storage(was):
    now = snapshot()
    for place in reversed([each for each in now["mounts"] if each not in was["mounts"]]):
        run("umount", "-l", place)
    for line in now["swap"]:
        if line not in was["swap"]:
            run("swapoff", line.split()[0])
    for name in now["mapped"]:
        if name not in was["mapped"]:
            run("dmsetup", "remove", "--force", name)
    for array in now["arrays"]:
        if array not in was["arrays"]:
            run("mdadm", "--stop", array)
    for name in now["namespaces"]:
        if name not in was["namespaces"]:
            run("ip", "netns", "delete", name)


def settle_journal():
    """Returns what was done, if it was not only settled: a journal that cannot be is put aside."""
    state = os.environ.get("VMPLUG_STATE_DIR")
    if not state or not os.path.exists(state):
        return []
    try:
        for _ in range(3):
            recovered = vmplug("recover")
            if recovered.code == 0:
                break
        for each in (vmplug("list").json or {}).get("assignments", []):
            vmplug("release", each["device"])
        if recovered.code == 0 and not vmplug("list").json["assignments"]:
            return []
    except (subprocess.TimeoutExpired, TypeError, KeyError):
        pass
    aside = f"{state}.{time.monotonic_ns()}"
    os.rename(state, aside)
    return [f"the journal could not be settled, it is {aside} now"]


def bring_home(address, was):
    path = DEVICES + address
    if not os.path.exists(path):
        write(PCI + "/rescan", "1")
        come_true(lambda: os.path.exists(path))
    if was["VFs"] is not None and text(path + "/sriov_numvfs") != was["VFs"]:
        write(path + "/sriov_numvfs", "0")
        write(path + "/sriov_numvfs", was["VFs"])
    if text(path + "/driver_override") != was["override"]:
        write(path + "/driver_override", "\n" if was["override"] == "(null)" else was["override"] + "\n")
    if link_name(path + "/driver") != was["driver"]:
        write(path + "/driver/unbind", address)
        if was["driver"]:
            run("modprobe", text(path + "/modalias") or "")
            write(PCI + "/drivers_probe", address)
            if link_name(path + "/driver") != was["driver"]:
                write(path + "/driver/unbind", address)
                write(f"{PCI}/drivers/{was['driver']}/bind", address)
            come_true(lambda: len(functions()[address]["interfaces"]) == len(was["interfaces"]))


def name_interfaces(was):
    now = functions()
    wanted = {old: new for address in was["functions"] if address in now
              for old, new in zip(now[address]["interfaces"], was["functions"][address]["interfaces"]) if old != new}
    # By way of names that nobody has: two may have changed places.
    for number, old in enumerate(wanted):
        run("ip", "link", "set", "dev", old, "down")
        run("ip", "link", "set", "dev", old, "name", f"homeless{number}")
    for number, new in enumerate(wanted.values()):
        run("ip", "link", "set", "dev", f"homeless{number}", "name", new)


def set_up_interfaces(was):
    virtual = names_in("/sys/devices/virtual/net")
    for name, now in interfaces().items():
        before = was["interfaces"].get(name)
        if before is None and name in virtual:
            run("ip", "link", "delete", "dev", name)
        if before is None or before == now:
            continue
        for each in now["altnames"]:
            if each not in before["altnames"]:
                run("ip", "link", "property", "delete", "dev", name, "altname", each)
        if now["master"] != before["master"]:
            run("ip", "link", "set", "dev", name, "nomaster")
        run("ip", "address", "flush", "dev", name)
        run("ip", "link", "set", "dev", name, "down")
        run("ip", "link", "set", "dev", name, "mtu", str(before["mtu"]), "address", before["mac"])
        for each in before["addresses"]:
            run("ip", "address", "add", each, "dev", name)
        if before["up"]:
            run("ip", "link", "set", "dev", name, "up")
    for line in was["routes"]:
        if line not in run("ip", "route").splitlines():
            run("ip", "route", "add", *line.split())


class World:
    def begin(self):
        """Before each case: as it is now it is to be again, should the case fail."""
        self.was, self.guests, self.processes = snapshot(), guests(), processes()

    def restore(self):
        """After a case that failed. Returns lines: what had to be put right, and what could not be."""
        lines = [f"put right: {each}" for each in differences(self.was, snapshot())]
        stop_everything_since(self.processes)
        give_back_storage(self.was)
        lines += settle_journal()
        for address, was in self.was["functions"].items():
            bring_home(address, was)
        name_interfaces(self.was)
        set_up_interfaces(self.was)
        for name in self.guests:
            started = subprocess.run(["guest", "start", name], capture_output=True, text=True)
            lines.append(f"guest {name} {'was started again' if started.returncode == 0 else started.stderr.strip()}")
        return lines + [f"COULD NOT BE PUT RIGHT: {each}" for each in differences(self.was, snapshot())]
