"""The way home on a real kernel: a driver that was removed, a device that left, interfaces with all they
had, commands for a person, and records that cannot be believed."""
import contextlib
import fcntl
import json
import os
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *

NAMES = {FIRST: "nic1", SECOND: "nic2"}


def sh(command, check=True):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120)
    expect(not check or done.returncode == 0, f"{command}: {done}")
    return done.stdout


def netdev(device):
    names = os.listdir(f"{DEVICES}{device}/net") if os.path.isdir(f"{DEVICES}{device}/net") else []
    return names[0] if names else None


def settle_names():
    """The kernel names what is scanned or loaded by somebody else; these tests need names that no new one
    gets by chance."""
    for device, name in NAMES.items():
        wait_until(lambda: netdev(device), 30, f"{device} has an interface")
        if netdev(device) != name:
            sh(f"ip link set dev {netdev(device)} down name {name}")


def link(name, namespace=None):
    """All that has to come back of an interface."""
    within = ["-n", namespace] if namespace else []
    shown = subprocess.run(["ip", *within, "-j", "link", "show", "dev", name], capture_output=True, text=True)
    expect(shown.returncode == 0, shown)
    found = json.loads(shown.stdout)[0]
    return {key: found.get(key) for key in ("ifname", "address", "mtu", "altnames", "operstate")}


def restored():
    """Whatever a test did, the next one finds the devices at home, and a journal of its own."""
    vmplug("recover")
    for device in NAMES:
        vmplug("release", device)
    sh("echo 1 > /sys/bus/pci/rescan; modprobe e1000e")
    for device in NAMES:
        if driver(device) != "e1000e":
            sh(f"echo > {DEVICES}{device}/driver_override; echo 0000:{device} > {DEVICES}{device}/driver/unbind; "
               f"echo 0000:{device} > /sys/bus/pci/drivers_probe", check=False)
    settle_names()


def case(test):
    def run():
        os.environ["VMPLUG_STATE_DIR"] = f"/run/{test.__name__}"
        try:
            settle_names()
            test()
        finally:
            restored()
    run.__name__ = test.__name__
    return run


def released(device):
    result = vmplug("release", device)
    expect(result.code == 0 and result.json["outcome"] == "done", result)
    expect(vmplug("list").json["assignments"] == [], "still listed")
    return result


def bound(device, *more):
    result = vmplug("bind", device, *more)
    expect(result.code == 0 and driver(device) == "vfio-pci", result)
    return result


def told(result):
    return "\n".join(step.get("findings", {}).get("told", "") for step in result.json["steps"])


@contextlib.contextmanager
def module_hidden(name):
    """modprobe finds it, and cannot load it."""
    path = sh(f"modinfo -n {name}").strip()
    sh(f"mount --bind /dev/null {path}")
    try:
        yield
    finally:
        sh(f"umount {path}")


@case
def a_driver_whose_module_was_removed_is_loaded_again():
    before, _ = home(FIRST)
    bound(FIRST)
    sh("modprobe -r e1000e")
    expect(not os.path.exists("/sys/bus/pci/drivers/e1000e"), "the driver is there")
    released(FIRST)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


@case
def a_record_of_before_finds_the_module_too():
    before, _ = home(FIRST)
    number = bound(FIRST).json["operation"]
    change_step(number, lambda step: [step["prior_state"].pop(key, None) for key in ("module", "netdevs", "ids")])
    sh("modprobe -r e1000e")
    released(FIRST)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


@case
def a_driver_that_cannot_come_back_is_a_refusal():
    bound(FIRST)
    sh("modprobe -r e1000e")
    path = sh("modinfo -n e1000e").strip()
    directory = f"/lib/modules/{os.uname().release}"
    sh(f"mount -t tmpfs none {directory}")
    try:
        result = vmplug("release", FIRST)
        expect(result.code == 3 and result.error["code"] == "driver_unavailable", result)
        expect(driver(FIRST) == "vfio-pci", driver(FIRST))
    finally:
        sh(f"umount {directory}")
    expect(os.path.exists(path), path)
    released(FIRST)


@case
def what_has_left_the_machine_has_nothing_to_give_back():
    bound(SECOND)
    sh(f"echo 1 > {DEVICES}{SECOND}/remove")
    result = released(SECOND)
    expect("left the machine" in told(result), result)
    text = vmplug("operations", json_output=False).stdout
    expect("release" in text and "done" in text, text)
    result = vmplug("release", SECOND)
    expect(result.code == 3 and result.error["code"] == "device_not_found", result)


@case
def an_attached_device_that_leaves_is_settled():
    for verb in (["detach", "web", "gone", "--timeout", "60s"], ["recover"]):
        attached("web", SECOND, "--id", "gone", "--wait-guest", "20s")
        # The kernel asks QEMU for it, and QEMU its guest; the write returns when the guest has let go.
        remove = subprocess.Popen(["sh", "-c", f"echo 1 > {DEVICES}{SECOND}/remove"])
        wait_until(lambda: remove.poll() is not None, 120, "removed")
        expect(not os.path.exists(f"{DEVICES}{SECOND}"), "still there")
        result = vmplug(*verb)
        expect(result.code == 0, result)
        expect("left the machine" in result.stdout, result)
        expect(vmplug("list").json["assignments"] == [], "still listed")
        expect(vmplug("recover").json["operations"] == [], "something is left")
        sh("echo 1 > /sys/bus/pci/rescan")
        settle_names()


@case
def what_left_and_came_back_is_at_home():
    bound(SECOND)
    sh(f"echo 1 > {DEVICES}{SECOND}/remove; echo 1 > /sys/bus/pci/rescan")
    wait_until(lambda: driver(SECOND) == "e1000e" and netdev(SECOND), 30, "rescanned")
    index = open(f"/sys/class/net/{netdev(SECOND)}/ifindex").read()
    released(SECOND)
    expect(home(SECOND)[0]["netdev"] == "nic2", home(SECOND))
    expect(open("/sys/class/net/nic2/ifindex").read() == index, "it was unbound")


@case
def another_card_in_that_place_is_left_alone():
    number = bound(FIRST).json["operation"]
    change_step(number, lambda step: step["prior_state"].update(ids="8086:100e 1af4:1100"))
    result = released(FIRST)
    expect("another card" in told(result) and driver(FIRST) == "vfio-pci", result)
    sh(f"echo > {DEVICES}{FIRST}/driver_override; echo 0000:{FIRST} > {DEVICES}{FIRST}/driver/unbind; "
       f"echo 0000:{FIRST} > /sys/bus/pci/drivers_probe")


@case
def an_interface_comes_back_with_all_it_had():
    original = link("nic1")["address"]
    sh("ip link set dev nic1 mtu 4000 address 52:54:00:77:77:01; ip link property add dev nic1 altname wan0; "
       "ip link property add dev nic1 altname 'uplink-to-the-provider'")
    before = link("nic1")
    try:
        bound(FIRST)
        result = released(FIRST)
        expect(link("nic1") == before, f"{link('nic1')} instead of {before}")
        expect(told(result) == "", result)
    finally:
        sh(f"ip link set dev nic1 mtu 1500 address {original}; ip link property del dev nic1 altname wan0; "
           "ip link property del dev nic1 altname uplink-to-the-provider", check=False)


@case
def what_cannot_be_given_back_is_told():
    sh("ip link property add dev nic1 altname wan0; ip link set dev nic1 up; ip addr add 192.0.2.7/24 dev nic1")
    bound(FIRST, "--force")
    sh("ip link add spare type dummy; ip link property add dev spare altname wan0")
    try:
        text = vmplug("release", FIRST, json_output=False).stdout
        expect("192.0.2.7/24" in text and "is down now" in text, text)
        expect("another interface has its alternative name wan0" in text, text)
        expect(home(FIRST)[0]["netdev"] == "nic1", home(FIRST))
    finally:
        sh("ip link del spare")


@case
def an_interface_of_a_container_goes_back_into_it():
    sh("ip netns add pod; ip link set nic1 netns pod; ip -n pod link set nic1 name up0 mtu 4000")
    try:
        before = link("up0", "pod")
        bound(FIRST, "--force")
        result = released(FIRST)
        expect(link("up0", "pod") == before, f"{link('up0', 'pod')} instead of {before}")
        expect(told(result) == "", result)
        expect(vmplug("recover").json["operations"] == [], "something is left")
    finally:
        sh("ip -n pod link set up0 netns 1; ip netns del pod")
        sh("ip link set dev up0 mtu 1500", check=False)


@case
def a_container_without_a_name_gets_its_interface_back():
    holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)
    holder.stdout.readline()
    try:
        sh(f"ip link set nic1 netns {holder.pid}")
        bound(FIRST, "--force")
        released(FIRST)
        inside = sh(f"nsenter -n -t {holder.pid} ip -j link show dev nic1")
        expect(json.loads(inside)[0]["ifname"] == "nic1", inside)
        sh(f"nsenter -n -t {holder.pid} ip link set nic1 netns 1")
    finally:
        holder.kill()
        holder.wait()


@case
def a_container_that_is_gone_is_told():
    sh("ip netns add pod; ip link set nic1 netns pod")
    bound(FIRST, "--force")
    # Another one of that name is not the one that it was in.
    sh("ip netns del pod; ip netns add pod")
    try:
        result = released(FIRST)
        expect("network namespace pod" in told(result) and "gone" in told(result), result)
        expect(netdev(FIRST), "no interface")
    finally:
        sh("ip netns del pod")


def run_commands(commands):
    """As a person who pastes them, and pastes them again."""
    for _ in range(2):
        done = subprocess.run(["sh", "-e"], input="\n".join(commands) + "\n", capture_output=True, text=True,
                              timeout=120)
        expect(done.returncode == 0 and not done.stderr, f"{done}\n" + "\n".join(commands))


@case
def the_commands_that_are_printed_lead_home_after_a_hang():
    original = link("nic1")["address"]
    sh("ip link set dev nic1 mtu 4000 address 52:54:00:77:77:01; ip link property add dev nic1 altname wan0")
    before = home(FIRST)[0], link("nic1")
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "30s")
    held = duplicate_descriptor(int(guest("pid", "web").stdout), "anon_inode:[vfio-device]")
    try:
        result = vmplug("detach", "web", "nic0", "--timeout", "60s")
        expect(result.code == 7 and result.json["manual_commands"], result)
    finally:
        os.close(held)
    # The command that was stuck goes through now; nobody has run `recover`.
    commands = [each for each in result.json["manual_commands"] if not each.startswith("vmplug qmp")]
    wait_until(lambda: driver(FIRST) != "vfio-pci", 60, "the unbind goes through")
    run_commands(commands)
    expect((home(FIRST)[0], link("nic1")) == before, f"{home(FIRST)[0], link('nic1')} instead of {before}")
    _, index = home(FIRST)
    expect(vmplug("recover").code == 0 and vmplug("list").json["assignments"] == [], "not settled")
    expect(home(FIRST) == (before[0], index) and link("nic1") == before[1], "recover changed what was home")
    sh(f"ip link set dev nic1 mtu 1500 address {original}; ip link property del dev nic1 altname wan0")


@case
def the_commands_that_are_printed_lead_home_from_a_removed_driver():
    sh("ip netns add pod; ip link set nic1 netns pod; ip -n pod link set nic1 mtu 4000")
    try:
        before = link("nic1", "pod")
        attached("web", FIRST, "--id", "nic0", "--wait-guest", "30s", "--force")
        sh("modprobe -r e1000e")
        with module_hidden("e1000e"):
            result = vmplug("detach", "web", "nic0", "--timeout", "60s")
            expect(result.code == 7 and driver(FIRST) == "vfio-pci", result)
        commands = [each for each in result.json["manual_commands"] if not each.startswith("vmplug qmp")]
        run_commands(commands)
        expect(driver(FIRST) == "e1000e" and link("nic1", "pod") == before, link("nic1", "pod"))
        expect(vmplug("recover").code == 0 and vmplug("list").json["assignments"] == [], "not settled")
        expect(link("nic1", "pod") == before, "recover took it away")
    finally:
        sh("ip -n pod link set nic1 netns 1; ip netns del pod", check=False)
        sh("ip link set dev nic1 mtu 1500", check=False)


def change_step(number, change):
    """Writes to the journal what somebody might who can."""
    with contextlib.closing(sqlite3.connect(os.environ["VMPLUG_STATE_DIR"] + "/journal.db")) as journal:
        position, body = journal.execute(
            "select position, body from step where operation = ? and body like '%set_binding%'", (number,)).fetchone()
        step = json.loads(body)
        change(step)
        journal.execute("update step set body = ? where operation = ? and position = ?",
                        (json.dumps(step), number, position))
        journal.commit()


@case
def a_record_that_nobody_can_have_written_is_not_used():
    bound(SECOND)
    number = bound(FIRST).json["operation"]
    os.makedirs("/run/evil", exist_ok=True)
    with open("/run/evil/bind", "w"):
        pass
    original = {}
    changes = [
        ("prior_state", "driver", "../../../../run/evil"), ("prior_state", "driver", ".."),
        ("prior_state", "driver_override", "x; reboot"), ("arguments", "device", "0000:01:00.0/../../x"),
        ("prior_state", "module", "-C/run/evil"), ("prior_state", "netdev", "../x"),
        ("prior_state", "netdevs", "[{}]"), ("prior_state", "ids", "$(reboot)")]
    for part, key, value in changes:
        def spoil(step):
            original.setdefault((part, key), step[part].get(key))
            step[part][key] = value
        def repair(step):
            if original[part, key] is None:
                step[part].pop(key)
            else:
                step[part][key] = original[part, key]
        change_step(number, spoil)
        try:
            for verb in (["release", FIRST], ["recover"]):
                result = vmplug(*verb)
                expect(result.code == 3, f"{key}={value}: {result}")
                expect("journal_corrupt" in result.stdout, f"{key}={value}: {result}")
                expect("manual_commands" not in result.stdout, result)
            expect(driver(FIRST) == "vfio-pci", f"{key}={value}: {driver(FIRST)}")
            expect(open("/run/evil/bind").read() == "", "something was written")
        finally:
            change_step(number, repair)
    # The other record goes on.
    result = vmplug("release", SECOND)
    expect(result.code == 0, result)
    released(FIRST)


def foreign(directory):
    result = vmplug("bind", FIRST, "--state-dir", directory)
    expect(result.code == 3 and result.error["code"] == "journal_unavailable", result)
    expect(driver(FIRST) == "e1000e", driver(FIRST))
    return result


@case
def a_state_directory_of_somebody_else_is_not_used():
    sh("rm -rf /run/foreign /run/target; mkdir -m 700 /run/foreign; chown 1000 /run/foreign")
    expect("1000" in foreign("/run/foreign").error["text"], "whose it is, is not said")
    expect(os.listdir("/run/foreign") == [], os.listdir("/run/foreign"))
    sh("chown 0 /run/foreign; chmod 777 /run/foreign")
    foreign("/run/foreign")
    sh("chmod 700 /run/foreign; ln -s /run/target /run/foreign/journal.db")
    foreign("/run/foreign")
    expect(not os.path.exists("/run/target"), "the link was followed")
    sh("rm /run/foreign/journal.db; mkdir -m 755 /run/target; ln -s /run/target /run/foreign/locks; chown -h 1000 /run/foreign/locks")
    foreign("/run/foreign")
    expect(os.listdir("/run/target") == [], os.listdir("/run/target"))
    sh("rm /run/foreign/locks; ln -s /run/foreign /run/link; chown -h 1000 /run/link")
    foreign("/run/link")
    sh("rm /run/link; touch /run/foreign/journal.db; chown 1000 /run/foreign/journal.db")
    foreign("/run/foreign")
    result = vmplug("list", "--state-dir", "/run/foreign")
    expect(result.error["code"] == "journal_unavailable", result)
    sh("rm -rf /run/foreign /run/target")


@case
def a_dry_run_takes_and_makes_nothing():
    for verb in (["bind", FIRST], ["release", FIRST], ["attach", "web", FIRST], ["detach", "web", "x"], ["recover"]):
        vmplug(*verb, "--dry-run", "--state-dir", "/run/dry")
        expect(not os.path.exists("/run/dry"), f"{verb} made the state directory")
    bound(FIRST)
    leases = os.environ["VMPLUG_STATE_DIR"] + "/locks"
    files = sorted(os.listdir(leases))
    locks = [open(f"{leases}/{name}") for name in files if "01:00.0" in name]
    expect(locks, files)
    for lock in locks:
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        result = vmplug("release", FIRST, "--dry-run")
        expect(result.code == 0 and result.json["outcome"] == "planned", result)
        expect(any("works on it" in note for note in result.json["notes"]), result)
        expect(vmplug("release", FIRST).error["code"] == "device_busy", "the lease does not hold")
    finally:
        for lock in locks:
            lock.close()
    expect(sorted(os.listdir(leases)) == files, "a file is new")
    released(FIRST)


def nothing_is_left_behind():
    for device in (FIRST, SECOND):
        expect(home(device)[0] == {"driver": "e1000e", "override": "(null)", "netdev": NAMES[device]}, home(device))
    expect(vmplug("list").json["assignments"] == [], "assignments are left")
    expect(vmplug("recover").json["operations"] == [], "something is unfinished")


start_guests("web")
run_tests([
    a_driver_whose_module_was_removed_is_loaded_again,
    a_record_of_before_finds_the_module_too,
    a_driver_that_cannot_come_back_is_a_refusal,
    what_has_left_the_machine_has_nothing_to_give_back,
    what_left_and_came_back_is_at_home,
    another_card_in_that_place_is_left_alone,
    an_interface_comes_back_with_all_it_had,
    what_cannot_be_given_back_is_told,
    an_interface_of_a_container_goes_back_into_it,
    a_container_without_a_name_gets_its_interface_back,
    a_container_that_is_gone_is_told,
    a_record_that_nobody_can_have_written_is_not_used,
    a_state_directory_of_somebody_else_is_not_used,
    a_dry_run_takes_and_makes_nothing,
    the_commands_that_are_printed_lead_home_after_a_hang,
    the_commands_that_are_printed_lead_home_from_a_removed_driver,
    an_attached_device_that_leaves_is_settled,
    nothing_is_left_behind,
])
