"""A case that fails takes no other one down. Runs inside of the lab's virtual host."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *

# Each first case leaves a world in which the second one could not pass.
PRELUDE = f"""
import os, re, sys
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from lab_host import *

def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    expect(done.returncode == 0, done)

def the_world_is_as_it_was():
    expect(guest_devices("web") == [], guest_devices("web"))
    before, _ = home(FIRST)
    expect(before == {{"driver": "e1000e", "override": "(null)", "netdev": "eth1"}}, before)
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "0s")
    detached("web", "nic0", "--timeout", "60s")
    expect(home(FIRST)[0] == before, home(FIRST))
"""


def run_cases(failing, *more):
    """Returns its report, line by line."""
    script = f"{PRELUDE}{failing}\nstart_guests('web')\nrun_tests([{', '.join(more)}, the_world_is_as_it_was])\n"
    with tempfile.TemporaryFile("w+") as output:
        status = subprocess.run([sys.executable, "-c", script], stdout=output, stderr=output, timeout=400).returncode
        output.seek(0)
        report = output.read()
    for line in report.splitlines():
        # Not this test's own report.
        print("# | " + line, flush=True)
    guest("stop", "web")
    expect(status == 1 and re.search(r"^not ok 1 ", report, re.M), report)
    expect(re.search(r"^ok 2 ", report, re.M) and "COULD NOT" not in report, report)
    return report


def devices_with_a_paused_guest_and_a_killed_vmplug_come_home():
    report = run_cases("""
def it_stops_in_the_middle():
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "20s")
    expect(vmplug("bind", LEFT, "--with-group").code == 0, "bind")
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("stop")
    expect(vmplug("detach", "web", "nic0", "--timeout", "1s").code == 5, "not pending")
    run = start_vmplug("bind", SECOND)
    wait_until(lambda: driver(SECOND) == "vfio-pci", 30, "bound")
    run.kill()
    os.kill(int(guest("pid", "web").stdout), 19)
    expect(False, "on purpose")
""", "it_stops_in_the_middle")
    for what in ("0000:01:00.0 driver: 'vfio-pci', was 'e1000e'", "0000:04:01.0 driver: 'vfio-pci', was 'e1000'"):
        expect("put right: functions " + what in report, report)
    expect("guest web was started again" in report, report)


def interfaces_and_disks_that_were_used_are_free_again():
    report = run_cases("""
def it_uses_what_there_is():
    with open(f"{DEVICES}{SECOND}/driver_override", "w") as override:
        override.write("nothing\\n")
    ip("netns", "add", "pod")
    ip("link", "set", "dev", "eth2", "name", "wan0")
    ip("link", "set", "dev", "eth1", "netns", "pod")
    ip("link", "add", "link", "eth3", "name", "mac0", "type", "macvlan")
    ip("address", "add", "10.9.9.9/24", "dev", "eth4")
    ip("link", "set", "dev", "eth4", "up")
    disk, = ["/dev/" + name for name in os.listdir("/sys/class/block") if re.fullmatch(r"nvme\\d+n1", name)]
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True)
    os.makedirs("/run/disk")
    subprocess.run(["mount", disk, "/run/disk"], check=True)
    subprocess.Popen(["sleep", "1000"], cwd="/run/disk")
    with open(f"{DEVICES}{RIGHT}/remove", "w") as remove:
        remove.write("1")
    expect(False, "on purpose")
""", "it_uses_what_there_is")
    for what in ("interfaces mac0", "functions 0000:01:00.0 interfaces", "functions 0000:02:00.0 interfaces",
                 "functions 0000:02:00.0 override", "functions 0000:04:02.0", "mounts", "namespaces"):
        expect("put right: " + what in report, f"{what}: {report}")


run_tests([devices_with_a_paused_guest_and_a_killed_vmplug_come_home,
           interfaces_and_disks_that_were_used_are_free_again])
