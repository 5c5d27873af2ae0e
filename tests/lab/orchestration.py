"""What people copy from examples/ does what it says. Runs inside of the lab's virtual host."""
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *
from lab_tool import BUILD, Result

os.environ["PATH"] = os.path.dirname(VMPLUG) + ":" + os.environ["PATH"]
ATTACH_ONCE, ENSURE_NIC = "examples/scripts/attach-once", "examples/scripts/ensure-nic"
MOVE_NIC, CONTROLLER = "examples/scripts/move_nic.py", os.path.join(BUILD, "examples/attach_and_list")


class Started:
    """A script at work. What it says meanwhile goes to a file, where it can be looked at."""

    def __init__(self, *command):
        self.errors = tempfile.NamedTemporaryFile("r")
        with open(self.errors.name, "w") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.returncode = self.stdout = self.stderr = None

    def wait_for_words(self, words, seconds=120):
        def said():
            with open(self.errors.name) as errors:
                return words in errors.read()
        wait_until(said, seconds, f"it says {words!r}")

    def result(self, *codes):
        self.stdout, _ = self.process.communicate(timeout=300)
        self.returncode, self.stderr = self.process.returncode, self.errors.read()
        result = Result(self)
        expect(result.code in codes, result)
        return result


def ends(code, *command):
    result = Result(subprocess.run(command, capture_output=True, text=True, timeout=300))
    expect(result.code == code, result)
    return result


def operations():
    return vmplug("operations", "--limit", "1000").json["operations"]


def kill_vmplug():
    """Kills the one that a script has started."""
    pids = subprocess.run(["pgrep", "-x", "vmplug"], capture_output=True, text=True).stdout.split()
    expect(pids, "no vmplug runs")
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)


def bound(device=FIRST):
    return driver(device) == "vfio-pci"


def taken_back(name="nic0", vm="web", device=FIRST):
    detached(vm, name, "--timeout", "60s")
    expect(driver(device) == "e1000e", driver(device))


def attach_once_twice_is_one_attach():
    command = [ATTACH_ONCE, "key-1", "web", FIRST, "--id", "nic0", "--wait-guest", "0s"]
    first = ends(0, *command)
    expect(first.json["outcome"] == "done" and not first.json["repeated"], first)
    count = len(operations())
    again = ends(0, *command)
    expect(again.json["repeated"] and again.json["operation"] == first.json["operation"], again)
    expect(len(operations()) == count and guest_devices("web") == ["nic0"], operations())
    taken_back()
    # What was done under the key is told, not done again.
    expect(ends(0, *command).json["repeated"] and guest_devices("web") == [], "a second attach")


def attach_once_tells_refusals_and_rollbacks_by_its_exit_code():
    before = home(FIRST)
    for code, command in ((2, ["key"]), (2, ["", "web", FIRST]), (2, ["key", "web", FIRST, "--nothing"]),
                          (3, ["key", "web", "7a:00.0"]), (3, ["key", "nosuch", FIRST]),
                          (3, ["key", "web", HOST_NIC]), (3, ["key", "web", "a b;$(reboot)"])):
        begin = time.monotonic()
        result = ends(code, ATTACH_ONCE, *command)
        expect("try" not in result.stderr and time.monotonic() - begin < 10, f"it was tried again: {result}")
    expect(home(FIRST) == before, "the device was touched")
    count = len(operations())
    command = [ATTACH_ONCE, "key-bad", "web", FIRST, "--set", "romfile=/nonexistent"]
    first, again = ends(4, *command), ends(4, *command)
    expect(first.json["operation"] == again.json["operation"] and again.json["repeated"], again)
    expect(len(operations()) == count + 1 and home(FIRST)[0] == before[0], home(FIRST))


def attach_once_goes_on_when_vmplug_is_killed():
    for number, moment in enumerate((bound, lambda: guest_devices("web") == ["nic0"])):
        before, count = home(FIRST)[0], len(operations())
        command = [ATTACH_ONCE, f"key-killed-{number}", "web", FIRST, "--id", "nic0", "--wait-guest", "30s"]
        # A guest that does not run configures nothing: vmplug still waits when it is killed.
        with Qmp(qmp_path("web")) as qmp:
            qmp.call("stop")
        process = Started(*command)
        wait_until(moment, 30, "far enough")
        kill_vmplug()
        with Qmp(qmp_path("web")) as qmp:
            qmp.call("cont")
        # Which of both: whether QEMU was asked before the kill.
        result = process.result(*((0, 4), (0,))[number])
        expect("try 1" in result.stderr and result.json["repeated"], result)
        expect(guest_devices("web") == (["nic0"] if result.code == 0 else []), result)
        expect(ends(result.code, *command).json["operation"] == result.json["operation"], result)
        expect(len(operations()) == count + 1, operations())
        if result.code == 0:
            taken_back()
        expect(home(FIRST)[0] == before, home(FIRST))


def attach_once_itself_killed_is_only_run_again():
    command = [ATTACH_ONCE, "key-both", "web", FIRST, "--id", "nic0", "--wait-guest", "0s"]
    count = len(operations())
    process = Started(*command)
    wait_until(bound, 30, "bound")
    process.process.kill()
    kill_vmplug()
    process.result(-signal.SIGKILL)
    result = Started(*command).result(0, 4)
    expect(result.json["repeated"], result)
    expect(guest_devices("web") == (["nic0"] if result.code == 0 else []), result)
    expect(len(operations()) == count + 1, operations())
    if result.code == 0:
        taken_back()


def attach_once_waits_for_a_busy_monitor():
    with all_monitors_held("web"):
        process = Started(ATTACH_ONCE, "key-busy", "web", FIRST, "--id", "nic0", "--wait-guest", "0s")
        process.wait_for_words("try 1 of")
    expect(str(os.getpid()) in process.result(0).stderr, "the holder is not named")
    taken_back()


def attach_once_settles_what_has_no_answer():
    qemu = int(guest("pid", "web").stdout)
    process = Started(ATTACH_ONCE, "key-6", "web", FIRST, "--id", "nic0", "--wait-guest", "0s", "--timeout", "1s")
    wait_until(bound, 30, "bound")
    os.kill(qemu, signal.SIGSTOP)
    try:
        process.wait_for_words("try 1 of")
        expect(operations()[0]["outcome"] == "unknown", operations()[0])
    finally:
        os.kill(qemu, signal.SIGCONT)
    result = process.result(0, 4)
    expect(result.json["repeated"], result)
    expect(guest_devices("web") == (["nic0"] if result.code == 0 else []), result)
    if result.code == 0:
        taken_back()


def ensure_nic_twice_changes_nothing_and_says_so():
    before, _ = home(FIRST)
    for wanted, command in ((True, ["present", "web", FIRST, "nic0"]), (False, ["absent", "web", "nic0"])):
        first = ends(0, ENSURE_NIC, *command)
        expect(first.json == {"changed": True, "present": wanted, "id": "nic0"}, first)
        count, index = len(operations()), home(FIRST)[1]
        again = ends(0, ENSURE_NIC, *command)
        expect(again.json == {"changed": False, "present": wanted, "id": "nic0"}, again)
        expect((len(operations()), home(FIRST)[1]) == (count, index), "something was done")
        expect(guest_devices("web") == (["nic0"] if wanted else []), guest_devices("web"))
    expect(home(FIRST)[0] == before, home(FIRST))


def ensure_nic_refuses_with_the_codes_that_it_promises():
    for code, command in ((2, []), (2, ["present", "web", FIRST]), (2, ["absent", "web"]), (2, ["here", "web", "x"]),
                          (2, ["present", "web", "eth0", "nic0"]), (3, ["present", "web", "7a:00.0", "nic0"]),
                          (3, ["present", "nosuch", FIRST, "nic0"]), (3, ["absent", "web", "rp0"]),
                          (3, ["present", "web", FIRST, "a b"])):
        result = ends(code, ENSURE_NIC, *command)
        expect(result.stdout == "" and result.stderr, result)
    ends(0, ENSURE_NIC, "absent", "nosuch", "nic0")
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "0s")
    result = ends(3, ENSURE_NIC, "present", "web", SECOND, "nic0")
    expect("0000:" + FIRST in result.stderr, result)
    expect("device_assigned" in ends(3, ENSURE_NIC, "present", "db", FIRST, "nic0").stderr, "not refused")
    expect(guest_devices("web") == ["nic0"] and driver(SECOND) == "e1000e", "something was touched")
    taken_back()


def ensure_nic_settles_what_a_killed_vmplug_left():
    process = start_vmplug("attach", "web", FIRST, "--id", "nic0", "--wait-guest", "0s")
    wait_until(bound, 30, "bound")
    process.kill()
    process.communicate()
    expect(ends(0, ENSURE_NIC, "present", "web", FIRST, "nic0").json["changed"], "nothing was changed")
    expect(guest_devices("web") == ["nic0"], guest_devices("web"))
    taken_back()


def two_that_ensure_the_same_agree():
    for wanted, command in ((["nic0"], ["present", "web", FIRST, "nic0"]), ([], ["absent", "web", "nic0"])):
        processes = [Started(ENSURE_NIC, *command) for _ in range(2)]
        results = [each.result(0) for each in processes]
        expect(any(each.json["changed"] for each in results), results)
        expect(guest_devices("web") == wanted, guest_devices("web"))


def ensure_nic_waits_for_a_guest_that_does_not_let_go():
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "30s")
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("stop")
    process = Started(ENSURE_NIC, "absent", "web", "nic0")
    process.wait_for_words("not let go")
    expect(guest_devices("web") == ["nic0"], guest_devices("web"))
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("cont")
    expect(process.result(0).json["changed"], "nothing was changed")
    expect(driver(FIRST) == "e1000e" and guest_devices("web") == [], driver(FIRST))


def move_nic_moves():
    before, _ = home(FIRST)
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "0s")
    result = ends(0, MOVE_NIC, "web", "nic0", "db", "--timeout", "60s")
    expect(result.json["moved"] and result.json["device"] == "0000:" + FIRST, result)
    expect((guest_devices("web"), guest_devices("db")) == ([], ["nic0"]), result)
    taken_back(vm="db")
    expect(home(FIRST)[0] == before, home(FIRST))


def a_move_that_fails_goes_back():
    attached("web", FIRST, "--id", "nic0", "--port", "rp1", "--wait-guest", "0s")
    result = ends(4, MOVE_NIC, "web", "nic0", "db", "--timeout", "60s", "--set", "romfile=/nonexistent")
    expect(not result.json["moved"] and "romfile" in result.json["text"], result)
    expect((guest_devices("web"), guest_devices("db")) == (["nic0"], []), result)
    listed = vmplug("list").json["assignments"]
    expect([(each["guest"], each["port"]) for each in listed] == [("web", "rp1")], listed)
    taken_back()


def a_move_that_would_be_refused_takes_nothing_away():
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "0s")
    attached("db", SECOND, "--id", "nic0", "--wait-guest", "0s")
    count = len(operations())
    for code, command in ((2, ["web"]), (3, ["web", "nic1", "db"]), (3, ["web", "nic0", "nosuch"]),
                          (3, ["web", "nic0", "db"]), (3, ["web", "nic0", "web"])):
        ends(code, MOVE_NIC, *command)
    expect(len(operations()) == count, operations()[0])
    taken_back(vm="db", device=SECOND)
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("stop")
    result = ends(5, MOVE_NIC, "web", "nic0", "db", "--timeout", "1s")
    expect("not let go" in result.json["text"] and guest_devices("db") == [], result)
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("cont")
    taken_back()


def an_interrupted_move_ends_in_one_of_the_guests():
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "30s")
    process = Started(MOVE_NIC, "web", "nic0", "db", "--timeout", "60s")
    wait_until(lambda: guest_devices("web") == [] and bound() is False, 60, "home")
    wait_until(bound, 60, "on its way to db")
    # As Ctrl-C does: the script and its vmplug get it.
    pids = subprocess.run(["pgrep", "-x", "vmplug"], capture_output=True, text=True).stdout.split()
    for pid in [process.process.pid, *map(int, pids)]:
        os.kill(pid, signal.SIGINT)
    result = process.result(0, 4)
    owner = {0: "db", 4: "web"}[result.code]
    expect(guest_devices(owner) == ["nic0"], result)
    taken_back(vm=owner)


def the_program_lists_and_attaches():
    shown = ends(0, CONTROLLER).stdout
    for line in (f"0000:{FIRST}  e1000e  group ", "web  rp0  free", "db  rp1  free"):
        expect(line in shown, shown)
    result = ends(0, CONTROLLER, "web", "0000:" + FIRST, "nic0")
    expect("web  rp0  occupied nic0" in result.stdout and "attach: done" in result.stderr, result)
    expect(guest_devices("web") == ["nic0"], guest_devices("web"))
    result = ends(3, CONTROLLER, "db", FIRST, "nic0")
    expect("device_assigned" in result.stderr and "attach: refused" in result.stderr, result)
    expect("vm_not_found" in ends(3, CONTROLLER, "nosuch").stderr, "no reason")
    ends(2, CONTROLLER, "web", FIRST)
    taken_back()
    process = Started(CONTROLLER, "web", FIRST, "nic0")
    wait_until(bound, 30, "bound")
    process.process.send_signal(signal.SIGINT)
    result = process.result(0, 4)
    expect(guest_devices("web") == (["nic0"] if result.code == 0 else []), result)
    if result.code == 0:
        taken_back()


def a_nic_that_neither_guest_takes_is_on_the_host():
    before, _ = home(FIRST)
    attached("web", FIRST, "--id", "nic0", "--wait-guest", "0s")
    process = Started(MOVE_NIC, "web", "nic0", "db", "--timeout", "60s", "--set", "romfile=/nonexistent")
    wait_until(lambda: guest_devices("web") == [], 60, "the guest lets go")
    guest("stop", "web")
    result = process.result(7)
    expect("nor did web" in result.json["text"] and home(FIRST)[0] == before, result)
    expect(vmplug("list").json["assignments"] == [], "still listed")


def ensure_nic_brings_home_what_a_dead_guest_had():
    before, _ = home(FIRST)
    attached("db", FIRST, "--id", "nic0", "--wait-guest", "0s")
    guest("stop", "db")
    expect(ends(0, ENSURE_NIC, "absent", "db", "nic0").json["changed"], "nothing was changed")
    expect(home(FIRST)[0] == before, home(FIRST))
    expect(not ends(0, ENSURE_NIC, "absent", "db", "nic0").json["changed"], "changed twice")


def nothing_is_left_behind():
    for device in (FIRST, SECOND):
        expect(home(device)[0]["driver"] == "e1000e" and home(device)[0]["override"] == "(null)", home(device))
    expect(vmplug("list").json["assignments"] == [], "assignments are left")
    left = subprocess.run(["pgrep", "vmplug"], capture_output=True, text=True).stdout
    expect(left == "", left)


start_guests("web", "db")
run_tests([
    attach_once_twice_is_one_attach,
    attach_once_tells_refusals_and_rollbacks_by_its_exit_code,
    attach_once_goes_on_when_vmplug_is_killed,
    attach_once_itself_killed_is_only_run_again,
    attach_once_waits_for_a_busy_monitor,
    attach_once_settles_what_has_no_answer,
    ensure_nic_twice_changes_nothing_and_says_so,
    ensure_nic_refuses_with_the_codes_that_it_promises,
    ensure_nic_settles_what_a_killed_vmplug_left,
    two_that_ensure_the_same_agree,
    ensure_nic_waits_for_a_guest_that_does_not_let_go,
    move_nic_moves,
    a_move_that_fails_goes_back,
    a_move_that_would_be_refused_takes_nothing_away,
    an_interrupted_move_ends_in_one_of_the_guests,
    the_program_lists_and_attaches,
    a_nic_that_neither_guest_takes_is_on_the_host,
    ensure_nic_brings_home_what_a_dead_guest_had,
    nothing_is_left_behind,
])
