"""The command line against real QEMUs on this machine, and against what people get wrong."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import VMPLUG, Qmp, Result, expect, run_tests, vmplug, wait_until

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")
HOSTILE = "x\x1b[2J\x1b]0;owned\x07\nfree"


class Qemu:
    def __init__(self, name="test", monitors=("qmp", "other")):
        self.path = os.path.join(work.name, f"{len(os.listdir(work.name))}")
        command = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", "32", "-nodefaults",
                   "-no-user-config", "-display", "none", "-S", *(["-name", f"guest={name}"] if name else []),
                   "-device", "pcie-root-port,id=rp0,chassis=1,slot=1"]
        for each in monitors:
            command += ["-qmp", f"unix:{self.path}.{each},server=on,wait=off"]
        open(self.path, "w").close()
        self.command, self.monitors = command, monitors
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command)
        wait_until(lambda: all(os.path.exists(self.socket(each)) for each in self.monitors), 20, "QEMU runs")

    def restart(self):
        self.process.kill()
        self.process.wait()
        for each in self.monitors:
            os.unlink(self.socket(each))
        self.start()

    def socket(self, name="qmp"):
        return f"{self.path}.{name}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def text(*arguments, **options):
    return vmplug(*arguments, json_output=False, **options)


def guests_are_found_with_their_monitors_and_holders():
    with Qemu("clotho") as qemu, Qmp(qemu.socket()):
        found = next(each for each in vmplug("vms").json["guests"] if each["name"] == "clotho")
        expect(found["pid"] == qemu.process.pid and found["state"] == "prelaunch", found)
        expect(found["monitors"][0]["held_by"]["pid"] == os.getpid(), found)
        expect(found["monitors"][1]["held_by"] is None, found)
        expect(found["version"].startswith("7."), found)


def ports_show_what_is_where():
    with Qemu("lachesis") as qemu:
        expect(vmplug("qmp", "lachesis", "device_add", "driver=e1000e", "id=nic", "bus=rp0").code == 0, "add")
        ports = {each["bus"]: each for each in vmplug("ports", qemu.socket()).json["ports"]}
        expect(ports["rp0"]["occupants"] == ["nic"] and not ports["rp0"]["free"], ports)
        expect(not ports["pcie.0"]["takes_hot_add"], ports)


def ports_are_drawn():
    with Qemu("lachesis"):
        expect(vmplug("qmp", "lachesis", "device_add", "driver=e1000e", "id=nic", "bus=rp0").code == 0, "add")
        drawn = text("ports", "lachesis", "--tree", env=os.environ | {"LC_ALL": "C.UTF-8"}).stdout
        expect("└─ rp0  pcie-root-port\n" in drawn and "   └─ nic  e1000e\n" in drawn, drawn)
        drawn = text("ports", "lachesis", "--tree", env=os.environ | {"LC_ALL": "C"}).stdout
        expect(drawn.isascii() and "`- nic  e1000e" in drawn, drawn)


def what_is_watched_is_shown_when_it_changes():
    def is_held():
        guest = next(each for each in vmplug("vms").json["guests"] if each["pid"] == qemu.process.pid)
        return guest["monitors"][0]["held_by"]

    with Qemu("lachesis") as qemu, subprocess.Popen([VMPLUG, "events", "qmp:" + qemu.socket(), "--watch", "--json"],
                                                    stdout=subprocess.PIPE, text=True) as run:
        try:
            wait_until(is_held, 10, "connected")
            for command, event in (("cont", "RESUME"), ("stop", "STOP")):
                with Qmp(qemu.socket("other")) as qmp:
                    qmp.call(command)
                expect(json.loads(run.stdout.readline())["event"] == event, command)
            qemu.restart()
            for wanted in ("gone", "connected"):
                expect(json.loads(run.stdout.readline())["monitor"] == wanted, wanted)
        finally:
            run.send_signal(signal.SIGINT)
        expect(run.wait(5) == 0, "Ctrl-C")
    state = ["--state-dir", work.name + "/watched"]
    run = subprocess.Popen([VMPLUG, "list", "--watch", "--json", *state], stdout=subprocess.PIPE, text=True)
    expect(json.loads(run.stdout.readline())["assignments"] == [], "list")
    time.sleep(1.2) # it has looked again
    run.send_signal(signal.SIGINT)
    expect(run.wait(5) == 0 and run.stdout.read() == "", "shown again without a change")
    expect(vmplug("explain", "--watch").code == 2, "not every verb is watched")


def a_mistyped_name_is_answered_with_the_right_one():
    with Qemu("gamma"):
        for wrong, meant in ((["ports", "gamam"], "gamma"), (["prots", "gamma"], "ports"),
                             (["devices", "--tere"], "--tree"), (["explain", "device_asigned"], "device_assigned"),
                             (["qmp", "gamma", "query-versoin"], "query-version")):
            result = text(*wrong)
            expect(result.code in (2, 3) and f"did you mean '{meant}'?" in result.stderr, result)
        expect("did you mean" not in text("ports", "x").stderr, "too far")


def qmp_types_its_arguments():
    with Qemu("gamma"):
        result = vmplug("qmp", "gamma", "qom-get", "path=/machine", "property=type")
        expect(result.json["return"].startswith("pc-q35"), result)
        result = vmplug("qmp", "gamma", "blockdev-add", "driver=null-co", "node-name=n", "size=1048576",
                        "cache.direct=true", "read-only=true")
        expect(result.code == 0, result)
        result = vmplug("qmp", "gamma", "nothing")
        expect(result.code == 3 and result.error["text"].startswith("CommandNotFound"), result)
        for bad in ("noequals", "=x", "a..b=1"):
            expect(vmplug("qmp", "gamma", "query-status", bad).code == 2, bad)


def an_id_of_digits_is_an_id():
    with Qemu("gamma") as qemu:
        added = vmplug("qmp", "gamma", "device_add", "driver=e1000e", "id=7", "bus=rp0", "addr=0", "multifunction=on")
        # An id begins with a letter, says QEMU: refused, instead of a device without an id.
        expect(added.code == 3 and "id" in added.error["text"], added)
        with Qmp(qemu.socket("other")) as qmp:
            expect(len(qmp.call("qom-list", path="/machine/peripheral-anon")) == 1, "a device without an id")
        expect(vmplug("qmp", "gamma", "device_add", "driver=e1000e", "id=true", "bus=rp0", "addr=0x0",
                      "multifunction=on", "mac=52:54:00:00:00:01", "rombar=1").code == 0, "typed by the model")
        expect(vmplug("qmp", "gamma", "netdev_add", "type=user", "id=null", "ipv4=on", "hostname=5").code == 0,
               "typed by the branch of the union")
        expect(vmplug("qmp", "gamma", "object-add", "qom-type=memory-backend-ram", "id=on", "size=1048576",
                      "share=off").code == 0, "the object's")
        expect(vmplug("qmp", "gamma", "object-del", "id=on").code == 0, "its id")
        wrong = vmplug("qmp", "gamma", "device_add", "driver=e1000e", "id=x", "rombar=on")
        expect(wrong.code == 3 and wrong.error["code"] == "property_unknown", wrong)
        expect(wrong.error["where"] == "rombar" and "e1000e" in wrong.error["remedy"], wrong)
        with Qmp(qemu.socket("other")) as qmp:
            expect(qmp.call("qom-get", path="/machine/peripheral/true", property="multifunction") is True, "typed")


def plain_words_cost_one_question():
    """No schema is asked for what can be nothing but a string."""
    path = os.path.join(work.name, "counted")
    with Qemu("gamma") as qemu, subprocess.Popen(["socat", "-v", f"UNIX-LISTEN:{path}", f"UNIX-CONNECT:{qemu.socket()}"],
                                                 stderr=subprocess.PIPE) as between:
        wait_until(lambda: os.path.exists(path), 5, "socat listens")
        result = vmplug("qmp", "qmp:" + path, "qom-get", "path=/machine", "property=type")
        sent = between.communicate(timeout=10)[1].decode()
        expect(result.code == 0 and sent.count('"execute"') == 2 and "schema" not in sent, sent)


def stop(process):
    """Each thread stops when it is next scheduled: until then it may still accept and greet."""
    process.send_signal(signal.SIGSTOP)
    tasks = f"/proc/{process.pid}/task"
    wait_until(lambda: all(open(f"{tasks}/{each}/stat").read().rsplit(")", 1)[1].split()[0] == "T"
                           for each in os.listdir(tasks)), 5, "it is stopped")


def a_stopped_qemu_is_unknown_or_busy_but_never_waited_for():
    with Qemu("delta") as qemu:
        stop(qemu.process)
        begin = time.monotonic()
        result = vmplug("qmp", qemu.socket(), "query-status")
        expect(result.code == 3 and result.error["code"] == "monitor_busy", result)
        expect(time.monotonic() - begin < 5, "it took too long")
        qemu.process.send_signal(signal.SIGCONT)


def two_guests_of_one_name_are_ambiguous():
    with Qemu("twin") as one, Qemu("twin"):
        result = vmplug("ports", "twin")
        expect(result.error["code"] == "vm_ambiguous" and str(one.process.pid) in result.error["text"], result)
        expect(vmplug("ports", str(one.process.pid)).code == 0, "a pid is not ambiguous")


def a_hostile_name_cannot_act_on_the_terminal():
    with Qemu(HOSTILE):
        shown = text("vms")
        expect("\x1b" not in shown.stdout and "\x07" not in shown.stdout, repr(shown.stdout))
        expect(not any(line.startswith("free") for line in shown.stdout.splitlines()), shown.stdout)
        names = [each["name"] for each in vmplug("vms").json["guests"]]
        expect(HOSTILE in names, f"JSON keeps it: {names}")
        for shown in (vmplug("vms"), vmplug("qmp", "guest", "x"), text("qmp", HOSTILE.split("\n")[0], "x")):
            expect(not acting(shown.stdout.rstrip("\n")) and not acting(shown.stderr.replace("\n", "")), shown)


# C1, direction marks and isolates, separators, what has no width, a tag; and what is no UTF-8
TRICKS = "a\u009b2J\u202eb\u2066c\u200ed\u2028e\ufefff\u00adg\U000e0041"


def acting(shown):
    return re.search("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]", shown)


def json_shows_no_trick_and_keeps_the_value():
    with Qemu(TRICKS) as qemu:
        pid = str(qemu.process.pid)
        one = lambda guests: next(each for each in guests if each["pid"] == qemu.process.pid)
        run = vmplug("vms")
        expect(not acting(run.stdout.rstrip("\n")) and one(run.json["guests"])["name"] == TRICKS, run)
        run = vmplug("qmp", pid, "query-name")
        expect(not acting(run.stdout.rstrip("\n")) and run.json["return"]["name"] == TRICKS, run)
        for verb in (["vms"], ["qmp", pid, "query-name"], ["hmp", pid, "info name"], ["ports", pid, "--tree"]):
            shown = text(*verb, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout
            expect(not acting(shown.replace("\n", "")), f"{verb}: {shown!r}")
        expect(json.loads(text("qmp", pid, "query-name").stdout)["name"] == TRICKS, "it is JSON for people, too")
        record = work.name + "/tricks.jsonl"
        run = text("repl", pid, "--json", "--transcript", record, "-c", "query-name; hmp info name; qmp query-name; vms")
        with open(record) as file:
            for shown in (run.stdout, file.read()):
                expect(shown and not acting(shown.replace("\n", "")), shown)
                [json.loads(line) for line in shown.splitlines()]
        # What came in cannot come out through an error either.
        for json_output in (True, False):
            run = vmplug("qmp", pid, TRICKS, json_output=json_output)
            expect(run.code == 3 and not acting((run.stdout + run.stderr).replace("\n", "")), run)
            run = vmplug("ports", TRICKS + "x", json_output=json_output)
            expect(run.code == 3 and not acting((run.stdout + run.stderr).replace("\n", "")), run)
            run = vmplug(TRICKS, json_output=json_output)
            expect(run.code == 2 and not acting((run.stdout + run.stderr).replace("\n", "")), run)
    run = subprocess.run([VMPLUG, "ports", b"\xff\xc0\x8a\xed\xa0\x80", "--json"], capture_output=True)
    expect(run.stdout.isascii() and "\ufffd" in json.loads(run.stdout)["error"]["where"], run)


def candidates(*words):
    run = subprocess.run([VMPLUG, "__complete", *words], capture_output=True, text=True, timeout=5)
    expect(run.returncode == 0 and not run.stderr, run)
    return dict((line + "\t").split("\t")[:2] for line in run.stdout.splitlines())


def completion_knows_guests_sockets_and_free_ports():
    with Qemu("clotho") as qemu, Qemu("lachesis"), Qemu("twin") as one, Qemu("twin") as two:
        guests = candidates("ports", "")
        expect({"clotho", "lachesis", str(one.process.pid), str(two.process.pid)} <= set(guests), guests)
        expect("twin" not in guests, guests)
        expect(str(qemu.process.pid) in guests["clotho"], guests)
        expect(set(candidates("ports", qemu.path)) == {qemu.socket(), qemu.socket("other")}, "paths")
        expect(set(candidates("check", "--vm", "qmp:" + qemu.path)) ==
               {"qmp:" + qemu.socket(), "qmp:" + qemu.socket("other")}, "with a protocol")
        expect(set(candidates("attach", "clotho", "x", "--port", "")) == {"rp0"}, "a free port")
        vmplug("qmp", "clotho", "device_add", "driver=e1000e", "id=nic", "bus=rp0")
        expect(not candidates("attach", "clotho", "x", "--port", ""), "it is occupied")


def completion_drops_what_a_hostile_guest_is_called():
    for name in (HOSTILE, "$(touch owned)", "`id`", "--force", "a b", "a;reboot", "~root"):
        with Qemu(name) as qemu:
            shown = candidates("ports", "")
            expect(str(qemu.process.pid) in shown, f"{name!r}: {shown}")
            expect(all(re.fullmatch(r"[\w/][\w.:/@+=,-]*", each) for each in shown), f"{name!r}: {shown}")
            expect("\x1b" not in "".join(shown.values()), shown)


def fall_silent(listener):
    """A monitor that greets and negotiates, and then answers no more."""
    client, _ = listener.accept()
    client.sendall(b'{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}\r\n')
    call = json.loads(client.recv(4096))
    client.sendall(json.dumps({"return": {}, "id": call.get("id")}).encode() + b"\r\n")
    while client.recv(4096):
        pass


def completion_waits_for_no_guest():
    path = work.name + "/silent"
    with Qemu("clotho") as qemu, socket.socket(socket.AF_UNIX) as listener:
        qemu.process.send_signal(signal.SIGSTOP)
        listener.bind(path)
        listener.listen()
        threading.Thread(target=fall_silent, args=[listener], daemon=True).start()
        for guest in ("clotho", path):
            begin = time.monotonic()
            expect(not candidates("attach", guest, "x", "--port", ""), "nobody answered")
            expect(time.monotonic() - begin < 1.5, f"{guest}: it took too long")
        qemu.process.send_signal(signal.SIGCONT)


def a_reading_that_timed_out_leaves_nothing_to_recover():
    path = work.name + "/mute"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        for verb in (["qmp", path, "query-status", "--timeout", "200ms"], ["hmp", path, "info status", "--timeout", "200ms"]):
            threading.Thread(target=fall_silent, args=[listener], daemon=True).start()
            result = vmplug(*verb)
            expect(result.error["code"] == "timed_out" and result.error["remedy"], result)
            expect("recover" not in result.error["remedy"], result)


def events_stream_and_end_with_a_signal():
    with Qemu("epsilon") as qemu:
        run = subprocess.Popen([VMPLUG, "events", qemu.socket(), "--json"], stdout=subprocess.PIPE, text=True)
        with Qmp(qemu.socket("other")) as qmp:
            def held():
                guests = vmplug("vms").json["guests"]
                return next(each for each in guests if each["name"] == "epsilon")["monitors"][0]["held_by"]
            wait_until(held, 10, "connected")
            qmp.call("cont")
        expect(json.loads(run.stdout.readline())["event"] == "RESUME", "no event")
        run.send_signal(signal.SIGINT)
        expect(run.wait(5) == 0, run.returncode)


def usage_errors_exit_2_and_help_exits_0():
    for arguments in ([], ["atach"], ["attach"], ["attach", "x"], ["attach", "a", "b", "c"], ["qmp", "x"],
                      ["--nothing"], ["attach", "a", "b", "--timeout", "soon"], ["operations", "x"],
                      ["attach", "a", "b", "--driver", "none"], ["attach", "a", "b", "--set", "x"]):
        result = vmplug(*arguments)
        expect(result.code == 2, f"{arguments}: {result}")
        if arguments:
            expect(result.json["outcome"] == "usage" and result.error["remedy"], f"{arguments}: {result}")
    expect("did you mean 'attach'" in text("atach").stderr, text("atach"))
    for arguments in (["--help"], ["attach", "--help"], ["--version"], ["explain"], ["explain", "no_iommu"]):
        result = text(*arguments)
        expect(result.code == 0 and result.stdout and not result.stderr, f"{arguments}: {result}")
    expect(vmplug("explain", "nothing").code == 3, "explain nothing")


def an_empty_name_is_bad_usage_and_never_a_guest_without_a_name():
    with Qemu(None) as qemu:
        unset = {**os.environ, "VMPLUG_STATE_DIR": work.name + "/unset"}
        for script in ('attach "$V" 00:05.0', 'ports "$V"', 'attach "$V" 00:05.0 --dry-run', 'list "$V"',
                       'detach "$V" nic0', 'qmp "$V" query-status', 'hmp "$V" info pci', 'events "$V"',
                       'check --vm "$V"', 'check "$V"', 'bind " $V"', 'release "$V"', 'cmdline "$V"', 'explain "$V"',
                       'repl "$V" -c vms', f'qmp {qemu.process.pid} "$V"', f'hmp {qemu.process.pid} "$V"',
                       f'attach {qemu.process.pid} 00:05.0 --id "$V"', f'ports --state-dir="$V" {qemu.process.pid}',
                       f'attach {qemu.process.pid} 00:05.0 --port="$V" --dry-run'):
            run = subprocess.run(["bash", "-c", f"V=; {VMPLUG} {script} --json"], capture_output=True, text=True,
                                 env=unset, timeout=20)
            expect(run.returncode == 2, f"{script}: {run}")
            failure = json.loads(run.stdout)["error"]
            expect(failure["code"] == "invalid_argument" and failure["where"], f"{script}: {failure}")
        expect(vmplug("ports", str(qemu.process.pid)).code == 0, "it can be named by its pid")


def every_verb_has_help_with_an_example():
    overview = text("--help").stdout
    verbs = [line.split()[0] for line in overview.split("Verbs:")[1].splitlines()
             if line.startswith("  ")]
    expect(len(verbs) >= 12, verbs)
    for verb in verbs:
        shown = text(verb, "--help").stdout
        expect(f"Example: vmplug {verb}" in shown, shown)


def huge_and_odd_arguments_get_short_errors():
    huge = "x" * 100_000
    for arguments in (["ports", huge], ["attach", huge, "01:00.0"], ["qmp", "/" + huge, "a"], [huge],
                      ["explain", huge], ["detach", "web", huge], ["ports", "a\x1b[31mb"]):
        result = text(*arguments, env={**os.environ, "VMPLUG_STATE_DIR": work.name + "/s"})
        expect(result.code in (2, 3), f"{arguments[0][:20]}: exit {result.code}")
        expect(len(result.stderr) < 1000 and "\x1b" not in result.stderr, result.stderr[:2000])


def a_state_directory_that_cannot_be_used_is_an_error_with_a_remedy():
    for directory in ("/proc/none", "/dev/null"):
        result = vmplug("recover", "--state-dir", directory)
        expect(result.code == 3 and result.error["code"] == "journal_unavailable", result)
        expect("--state-dir" in result.error["remedy"], result)


def what_a_user_may_not_is_said_with_its_reason():
    if os.geteuid() != 0:
        return
    directory = work.name + "/of-root"
    vmplug("recover", "--state-dir", directory)
    os.chmod(work.name, 0o755)
    # Where every user comes to: the build may be below somebody's home.
    program = shutil.copy(VMPLUG, work.name)
    with Qemu("clotho") as qemu:
        for path, verb in ((directory, ["list", "--state-dir", directory]), (directory, ["recover", "--state-dir", directory]),
                           ("clotho", ["ports", "clotho"]), (qemu.socket(), ["qmp", qemu.socket(), "query-status"])):
            result = vmplug(*verb, executable=program, user=65534, group=65534, extra_groups=[])
            expect(result.code == 3 and path in result.error["where"], result)
            expect("ermission denied" in result.error["text"] and "root" in result.error["remedy"], result)


def what_is_short_is_no_bug():
    for options in ([], ["--json"]):
        run = subprocess.run(["prlimit", "--nofile=5", VMPLUG, "vms", *options], capture_output=True, text=True)
        expect(run.returncode == 1 and "Too many open files" in run.stderr and "report" not in run.stderr, run)
        expect(not options or json.loads(run.stdout)["outcome"] == "fault", run)


def a_damaged_journal_is_named_and_kept():
    directory = work.name + "/damaged"
    os.mkdir(directory)
    with open(directory + "/journal.db", "wb") as journal:
        journal.write(b"this is no database, but somebody's only copy" * 100)
    for verb in (["recover"], ["list"], ["operations"], ["detach", "web", "nic0"]):
        result = vmplug(*verb, "--state-dir", directory)
        expect(result.code == 3 and result.error["code"] == "journal_corrupt", result)
    with open(directory + "/journal.db", "rb") as journal:
        expect(journal.read().startswith(b"this is no database"), "the file was changed")


def a_look_needs_no_room_on_the_disk():
    """A journal on a disk that is full, and then on one that cannot be written."""
    if os.geteuid() != 0:
        return
    script = f"""mount -t tmpfs -o size=256k none {work.name}/disk || exit 99
        cd {work.name}/disk && {VMPLUG} recover --state-dir state >/dev/null || exit 98
        dd if=/dev/zero of=fill bs=4k 2>/dev/null
        {VMPLUG} recover --state-dir state --json; echo $?
        {VMPLUG} list --state-dir state >/dev/null || exit 97
        {VMPLUG} operations --state-dir state >/dev/null || exit 96
        mount -o remount,ro {work.name}/disk || exit 95
        {VMPLUG} list --state-dir state >/dev/null || exit 94
        {VMPLUG} recover --dry-run --state-dir state >/dev/null || exit 93"""
    os.mkdir(work.name + "/disk")
    mounted = any(line.split()[4] == "/" for line in open("/proc/self/mountinfo"))
    run = subprocess.run(["unshare", "-m", *([] if mounted else ["--propagation", "unchanged"]), "sh", "-c", script],
                         capture_output=True, text=True)
    expect(run.returncode == 0, run)
    expect("No space left" in run.stdout and run.stdout.endswith("\n3\n"), run)


def threads_of(*arguments):
    """How many threads one run of vmplug began, as the kernel saw it, and what it answered."""
    log = work.name + "/clones"
    run = subprocess.run(["strace", "-f", "-qq", "-e", "trace=clone,clone3", "-e", "signal=none", "-o", log,
                          VMPLUG, *arguments, "--json", "--state-dir", work.name + "/threads"],
                         capture_output=True, text=True, timeout=60)
    with open(log) as file:
        begun = sum("CLONE_THREAD" in line and "= -1 " not in line for line in file)
    return begun, Result(run)


def what_only_looks_begins_no_thread():
    device = min(os.listdir("/sys/bus/pci/devices"), default="0000:00:00.0")
    # Nothing is at that address: what is asked for cannot be done.
    nowhere = "fffe:ff:1f.7"
    with Qemu("atropos") as qemu:
        for code, *words in ((0, "list"), (0, "operations"), (0, "vms"), (0, "devices"), (0, "explain", "host_io"),
                             (0, "ports", "atropos"), (0, "ports", "qmp:" + qemu.socket()), (0, "list", "atropos"),
                             (None, "check", device, "--vm", "atropos"), (0, "qmp", "atropos", "query-status"),
                             (None, "attach", "atropos", device, "--dry-run"), (0, "recover", "--dry-run"),
                             (3, "attach", "atropos", nowhere), (3, "attach", "nobody", nowhere),
                             (3, "detach", "atropos", "nic0", "--dry-run"), (3, "bind", nowhere)):
            begun, result = threads_of(*words)
            expect(result.json and code in (None, result.code), f"{words}: {result}")
            expect(begun == 0, f"{words}: {begun} threads")
        # The records have one, where they may be written to.
        begun, result = threads_of("attach", "atropos", nowhere, "--request-id", "thread")
        expect(result.code == 3 and begun == 1, f"{begun} threads: {result}")


def a_reader_that_leaves_does_no_harm():
    run = subprocess.run(f"{VMPLUG} explain | head -1", shell=True, capture_output=True, text=True)
    expect(run.returncode == 0 and run.stdout.startswith("CODE") and not run.stderr, run)
    run = subprocess.run(f"{VMPLUG} list --watch --state-dir {work.name}/empty | head -1", shell=True,
                         capture_output=True, text=True, timeout=10)
    expect(run.stdout and not run.stderr, run)


def an_answer_that_cannot_be_written_is_a_failure():
    run = subprocess.run(f"{VMPLUG} explain > /dev/full", shell=True, capture_output=True, text=True)
    expect(run.returncode == 1 and "No space left" in run.stderr, run)
    with Qemu("clotho"):
        for verb in ("--help", "attach --help", "vms", "qmp clotho query-status --json", f"list --watch --state-dir {work.name}/empty",
                     "repl clotho -c 'query-status'", "repl clotho --json -c 'vms'"):
            run = subprocess.run(f"{VMPLUG} {verb} > /dev/full", shell=True, capture_output=True, text=True, timeout=10)
            expect(run.returncode == 1 and "No space left" in run.stderr, f"{verb}: {run}")
            run = subprocess.run(f"prlimit --fsize=0 {VMPLUG} {verb} > {work.name}/limited", shell=True,
                                 capture_output=True, text=True, timeout=10)
            expect(run.returncode == 1 and "File too large" in run.stderr, f"{verb}: {run}")
            run = subprocess.run(f"{VMPLUG} {verb} | head -0", shell=True, capture_output=True, text=True, timeout=10)
            expect(run.returncode == 0 and not run.stderr, f"{verb}: {run}")
        # The reader is full before the second line is run.
        run = subprocess.run(f"{VMPLUG} repl clotho -c 'query-status; system_reset' > /dev/full; "
                             f"{VMPLUG} qmp clotho query-status", shell=True, capture_output=True, text=True, timeout=10)
        expect("prelaunch" in run.stdout, run)
    run = subprocess.run(["prlimit", "--fsize=4096", VMPLUG, "recover", "--json", "--state-dir", work.name + "/limit"],
                         capture_output=True, text=True)
    failure = json.loads(run.stdout)["error"]
    expect(run.returncode == 3 and failure["code"] == "journal_unavailable", run)
    expect("File too large" in failure["text"], run)
    run = subprocess.run(f"{VMPLUG} repl <&-", shell=True, capture_output=True, text=True)
    expect(run.returncode == 0 and not run.stdout and not run.stderr, run)


def nothing_unfinished_is_said():
    result = text("recover", "--state-dir", work.name + "/empty")
    expect(result.code == 0 and result.stdout == "Nothing is unfinished.\n", result)


try:
    run_tests([each for name, each in list(globals().items())
               if callable(each) and getattr(each, "__module__", "") == "__main__" and name.islower()
               and name not in ("text", "acting", "candidates", "fall_silent", "stop", "threads_of")])
finally:
    work.cleanup()
