"""Nothing is stranded: kills, hangs, a full disk and two that hammer, on the real kernel and QEMU.

VMPLUG_KILLS: how many kills at random instants (default 10; 200 for a night).
"""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *

seed = int(os.environ.get("VMPLUG_TEST_SEED") or time.time())
chance = random.Random(seed)
print(f"# VMPLUG_TEST_SEED={seed}", flush=True)


def killed_after(seconds, *arguments):
    """Runs vmplug and kills it after a while. Returns whether it was still running."""
    run = start_vmplug(*arguments)
    time.sleep(seconds)
    running = run.poll() is None
    run.kill()
    run.communicate()
    return running


def settle():
    """recover until nothing is left to do; what it says has to agree with the world."""
    result = vmplug("recover")
    expect(result.code == 0, result)
    again = vmplug("recover")
    expect(again.code == 0 and again.json["operations"] == [], f"a second recover found: {again}")
    listed = sorted(each["id"] for each in vmplug("list").json["assignments"])
    there = sorted(guest_devices("web"))
    expect(listed == there, f"listed {listed}, in the guest {there}")
    return there


def kills_at_random_instants_strand_nothing():
    before, _ = home(FIRST)
    wanted, kills, cycles = int(os.environ.get("VMPLUG_KILLS") or 10), 0, 0
    longest = {"attach": 4.0, "detach": 2.0}
    while kills < wanted:
        cycles += 1
        kills += killed_after(chance.uniform(0, longest["attach"]), "attach", "web", FIRST, "--id", "nic0",
                              "--wait-guest", "0s")
        if settle():
            expect(driver(FIRST) == "vfio-pci", driver(FIRST))
            kills += killed_after(chance.uniform(0, longest["detach"]), "detach", "web", "nic0", "--timeout", "60s")
            if settle():
                detached("web", "nic0", "--timeout", "60s")
        expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
    print(f"# {kills} kills in {cycles} cycles, 0 stranded", flush=True)


def killed_at(calls, number, *arguments):
    """Runs vmplug and kills it when it enters the given system call for the NUMBERth time. Returns whether
    it came that far."""
    # The journal is written by a thread of its own; children are not to be killed.
    threads = ["-f"] if calls == "fdatasync" else []
    run = subprocess.run(["strace", *threads, "-o", "/dev/null", "-e", f"trace={calls}",
                          "-e", f"inject={calls}:signal=KILL:when={number}", VMPLUG, *arguments, "--json"],
                         capture_output=True, timeout=120)
    return run.returncode not in (0, 3, 4, 5)


def kills_at_every_boundary_strand_nothing():
    """Before each commit of the journal, before each child that writes to sysfs, and before each command
    to QEMU."""
    before, _ = home(FIRST)
    boundaries = 0
    for verb in (["attach", "web", FIRST, "--id", "nic0", "--wait-guest", "0s"],
                 ["detach", "web", "nic0", "--timeout", "60s"]):
        for calls in ("fdatasync", "clone,clone3,fork,vfork"):
            until_here = boundaries
            for number in range(1, 40):
                if verb[0] == "detach" and not guest_devices("web"):
                    attached("web", FIRST, "--id", "nic0", "--wait-guest", "0s")
                killed = killed_at(calls, number, *verb)
                there = settle()
                boundaries += killed
                if there and verb[0] == "attach":
                    detached("web", "nic0", "--timeout", "60s")
                if not guest_devices("web"):
                    expect(home(FIRST)[0] == before, f"{calls} {number}: {home(FIRST)[0]} instead of {before}")
                if not killed:
                    break
            # Fewer would mean that a commit is not synchronised, or that a write is made by ourselves.
            expect(boundaries - until_here >= 3, f"{boundaries - until_here} boundaries of {calls}")
    for name in guest_devices("web"):
        detached("web", name, "--timeout", "60s")
    print(f"# {boundaries} boundaries, 0 stranded", flush=True)
    expect(boundaries >= 10, boundaries)


def a_dry_recover_tells_and_changes_nothing():
    before, _ = home(FIRST)
    run = start_vmplug("attach", "web", FIRST, "--id", "nic0", "--wait-guest", "0s")
    wait_until(lambda: driver(FIRST) == "vfio-pci", 30, "bound")
    run.kill()
    run.communicate()
    for _ in range(2):
        result = vmplug("recover", "--dry-run")
        expect(result.code == 0 and len(result.json["operations"]) == 1, result)
        found = result.json["operations"][0]
        expect(found["would"] in ("go on", "undo what was done"), result)
        expect([each["seen"] for each in found["steps"] if "seen" in each], result)
    expect(driver(FIRST) == "vfio-pci", "the dry run changed something")
    for name in settle():
        detached("web", name, "--timeout", "60s")
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


def a_killed_request_is_settled_by_its_repetition():
    before, _ = home(FIRST)
    request = ["attach", "web", FIRST, "--id", "nic0", "--wait-guest", "0s", "--request-id", "killed"]
    run = start_vmplug(*request)
    wait_until(lambda: driver(FIRST) == "vfio-pci", 30, "bound")
    run.kill()
    run.communicate()
    first, second = vmplug(*request), vmplug(*request)
    for result in (first, second):
        expect(result.json["repeated"] and result.json["outcome"] in ("done", "rolled_back"), result)
    expect(first.json["operation"] == second.json["operation"], second)
    expect(first.code == {"done": 0, "rolled_back": 4}[first.json["outcome"]] == second.code, second)
    for name in settle():
        detached("web", name, "--timeout", "60s")
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
    refused("invalid_argument", "attach", "web", SECOND, "--request-id", "killed")


def a_reset_completes_what_a_paused_guest_withheld():
    before, _ = home(FIRST)
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "0s")
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("stop")
    expect(vmplug("detach", "web", "nic0", "--timeout", "1s").code == 5, "not pending")
    # The clock of the host is stepped meanwhile: no deadline and no order depends on it.
    now = time.time()
    time.clock_settime(time.CLOCK_REALTIME, now - 86400)
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("system_reset")
        qmp.call("cont")
    wait_until(lambda: vmplug("recover").code == 0 and not vmplug("list").json["assignments"], 120, "settled")
    time.clock_settime(time.CLOCK_REALTIME, now)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


def a_blocked_unbind_is_stuck_and_ends_when_the_kernel_lets_go():
    before, _ = home(FIRST)
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "30s")
    held = duplicate_descriptor(int(guest("pid", "web").stdout), "anon_inode:[vfio-device]")
    try:
        begin = time.monotonic()
        result = vmplug("detach", "web", "nic0", "--timeout", "60s")
        took = time.monotonic() - begin
        expect(result.code == 7 and result.json["outcome"] == "stuck", result)
        expect(str(os.getpid()) in result.error["text"], f"the holder is not named: {result}")
        expect(result.json["manual_commands"], result)
        print(f"# stuck after {took:.1f} s", flush=True)
        expect(took < 90, took)
        expect(vmplug("devices", seconds=20).code == 0, "vmplug does not answer meanwhile")
        refused("host_stuck", "attach", "web", FIRST, device=None)
        result = vmplug("recover")
        expect(result.code == 7, f"recover does not say that it is still stuck: {result}")
    finally:
        os.close(held)
    wait_until(lambda: vmplug("recover").code == 0, 60, "recovered")
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


def a_full_state_directory_is_refused_before_anything_is_touched():
    os.makedirs("/run/full", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "full", "/run/full"], check=True)
    try:
        with open("/run/full/ballast", "wb") as ballast:
            try:
                ballast.write(b"x" * 65536)
            except OSError:
                pass
        result = vmplug("attach", "web", FIRST, "--state-dir", "/run/full")
        expect(result.code == 3 and result.error["code"] == "journal_unavailable", result)
        expect(driver(FIRST) == "e1000e", driver(FIRST))
    finally:
        subprocess.run(["umount", "/run/full"], check=True)


def two_that_hammer_the_same_devices_lose_nothing():
    before = home(FIRST)[0], home(SECOND)[0]
    worker = f"""
import random, sys, time
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from lab_host import *
chance, end, codes = random.Random(int(sys.argv[1])), time.monotonic() + 60, []
while time.monotonic() < end:
    device = chance.choice([FIRST, SECOND])
    name = "dev" + device[1]
    if chance.random() < 0.5:
        codes.append(vmplug("attach", "web", device, "--id", name, "--wait-guest", "0s").code)
    else:
        codes.append(vmplug("detach", "web", name, "--timeout", "60s").code)
print(sorted(codes))
"""
    runs = [subprocess.Popen([sys.executable, "-c", worker, str(chance.random())[2:8]],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for run in runs:
        stdout, stderr = run.communicate(timeout=200)
        expect(run.returncode == 0, stderr)
        codes = eval(stdout)
        print(f"# {len(codes)} commands, {codes.count(0)} done, {codes.count(3)} refused", flush=True)
        expect(set(codes) <= {0, 3} and 0 in codes, codes)
    for name in settle():
        detached("web", name, "--timeout", "60s")
    after = home(FIRST)[0], home(SECOND)[0]
    expect(after == before, f"{after} instead of {before}")


def nothing_is_left_behind():
    for device in (FIRST, SECOND):
        expect(home(device)[0]["driver"] == "e1000e" and home(device)[0]["override"] == "(null)", home(device))
    expect(os.listdir("/dev/vfio") == ["vfio"], os.listdir("/dev/vfio"))


start_guests("web")
run_tests([
    kills_at_random_instants_strand_nothing,
    kills_at_every_boundary_strand_nothing,
    a_blocked_unbind_is_stuck_and_ends_when_the_kernel_lets_go,
    a_full_state_directory_is_refused_before_anything_is_touched,
    two_that_hammer_the_same_devices_lose_nothing,
    a_dry_recover_tells_and_changes_nothing,
    a_killed_request_is_settled_by_its_repetition,
    a_reset_completes_what_a_paused_guest_withheld,
    nothing_is_left_behind,
])
