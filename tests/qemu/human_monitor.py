"""Human monitors: the QEMU of today, those of long ago, and what only looks like one."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import VMPLUG, Qmp, expect, run_tests, vmplug, wait_until
from old_qemu import OldQemu, echo_of, names

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")
os.environ["VMPLUG_STATE_DIR"] = work.name + "/state"
BANNER = b"QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) "


class Qemu:
    """A real one, with a human monitor, and with QMP where it is wanted."""

    def __init__(self, name, *options, qmp=False):
        self.hmp, self.qmp = f"{work.name}/{name}.hmp", f"{work.name}/{name}.qmp"
        command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "32", "-nodefaults", "-no-user-config", "-display",
                   "none", "-S", "-name", f"guest={name}", *options, "-monitor", f"unix:{self.hmp},server=on,wait=off"]
        if qmp:
            command += ["-qmp", f"unix:{self.qmp},server=on,wait=off"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(self.hmp), 20, "QEMU runs")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Monitor:
    """A socket that behaves as `talk(connection)` says."""

    def __init__(self, talk):
        self.path = f"{work.name}/double"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.address = "hmp:" + self.path

        def serve():
            try:
                while True:
                    connection, _ = self.listener.accept()
                    with connection:
                        talk(connection)
            except OSError:
                pass
        threading.Thread(target=serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        os.unlink(self.path)


def read_line(connection):
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(65536)
    return line[:-1]


def measured(*arguments, seconds=60):
    """The result, how long it took, and the most memory in MB."""
    begin = time.monotonic()
    script = ("import json, os, subprocess, sys; run = subprocess.Popen(sys.argv[1:]); "
              "_, status, usage = os.wait4(run.pid, 0); print(usage.ru_maxrss, file=sys.stderr); "
              "sys.exit(os.waitstatus_to_exitcode(status))")
    run = subprocess.run([sys.executable, "-c", script, VMPLUG, *arguments, "--json"], capture_output=True, text=True,
                         timeout=seconds)
    return run, time.monotonic() - begin, int(run.stderr.split()[-1]) / 1024


def failed_with(code, run):
    value = json.loads(run.stdout)
    expect(value["error"]["code"] == code and value["error"]["remedy"], run)
    return value


def lines_over_both_transports_say_the_same():
    with Qemu("both", "-machine", "q35", qmp=True) as qemu:
        for line in ("info status", "info pci", "info name"):
            direct, through = vmplug("hmp", "hmp:" + qemu.hmp, line), vmplug("hmp", "both", line)
            expect(direct.code == 0 and direct.json["output"] == through.json["output"] != "", (direct, through))
        for guest in ("hmp:" + qemu.hmp, "both"):
            for line in ("info nothing", "no-such-command", "device_add no-such", "device_del nobody",
                         "device_add e1000,no-such=1", "info name x", "set_link"):
                result = vmplug("hmp", guest, line)
                expect(result.code == 3 and result.error["code"] == "command_failed", f"{line}: {result}")
            expect(vmplug("hmp", guest, "device_add", "?").code == 0, "help is no failure")


def a_guest_with_nothing_but_a_human_monitor_is_found_and_seen():
    with Qemu("alone", "-machine", "q35", "-device", "pcie-root-port,id=rp0,chassis=1,slot=1", "-device",
              "pcie-root-port,id=rp1,chassis=2,slot=2,hotplug=off", "-device", "e1000e,id=nic,bus=rp0"):
        found = next(each for each in vmplug("vms").json["guests"] if each["name"] == "alone")
        expect(found["version"].startswith("7.") and "prelaunch" in found["state"], found)
        ports = {each["bus"]: each for each in vmplug("ports", "alone").json["ports"]}
        expect(ports["rp0"]["occupants"] == ["nic"] and not ports["rp1"]["takes_hot_add"], ports)
        expect(not ports["pcie.0"]["takes_hot_add"], ports)
        result = vmplug("qmp", "alone", "query-status")
        expect(result.code == 3 and "vmplug hmp" in result.error["remedy"], result)


def the_survey_is_the_same_over_qmp_and_over_hmp():
    with Qemu("same", "-machine", "q35", "-device", "pcie-root-port,id=rp0,chassis=1,slot=1", "-device",
              "pci-bridge,id=br0,chassis_nr=9", "-device", "e1000e,id=nic,bus=rp0", qmp=True) as qemu:
        over_qmp, over_hmp = vmplug("ports", "same").json["ports"], vmplug("ports", "hmp:" + qemu.hmp).json["ports"]
        for each in over_qmp + over_hmp:
            each.pop("type")  # The machine's is known roughly over HMP.
        expect(over_qmp == over_hmp, f"{over_qmp}\n{over_hmp}")


def a_wrong_protocol_is_told():
    with Qemu("wrong", qmp=True) as qemu:
        result = vmplug("qmp", qemu.hmp, "query-status")
        expect(result.code == 3 and "hmp:PATH" in result.error["remedy"], result)
        result = vmplug("hmp", "hmp:" + qemu.qmp, "info", "status")
        expect(result.code == 3 and "qmp:PATH" in result.error["remedy"], result)


def a_held_monitor_names_its_holder():
    with Qemu("held") as qemu:
        holder = socket.socket(socket.AF_UNIX)
        holder.connect(qemu.hmp)
        holder.recv(4096)
        result = vmplug("hmp", "held", "info", "status")
        expect(result.code == 3 and result.error["code"] == "monitor_busy", result)
        expect(str(os.getpid()) in result.error["text"], result)
        holder.close()
        expect(vmplug("hmp", "held", "info", "status").code == 0, "free again")


def long_lines_and_their_limit():
    with Qemu("long") as qemu:
        run, took, memory = measured("hmp", "hmp:" + qemu.hmp, "x" * 4000)
        failed_with("command_failed", run)
        print(f"# a line of 4000 bytes: {took:.2f} s, {memory:.0f} MB", flush=True)
        expect(took < 20 and memory < 20, (took, memory))
        failed_with("limit_exceeded", measured("hmp", "hmp:" + qemu.hmp, "x" * 4096)[0])
        for key in ("a\nquit", "info\tname", "\x1b[A"):
            failed_with("invalid_argument", measured("hmp", "hmp:" + qemu.hmp, key)[0])
        expect(qemu.process.poll() is None, "QEMU has quit")


def a_password_is_neither_typed_nor_left_to_the_next_client():
    with Qemu("secret", "-vnc", f"unix:{work.name}/vnc,password=on") as qemu:
        run, _, _ = measured("hmp", "hmp:" + qemu.hmp, "change vnc password")
        failed_with("invalid_argument", run)
        expect(vmplug("hmp", "hmp:" + qemu.hmp, "info", "status").code == 0, "the next client is stuck")
        # Another tool leaves QEMU asking.
        other = socket.socket(socket.AF_UNIX)
        other.connect(qemu.hmp)
        other.sendall(b"change vnc password\n")
        seen = b""
        while b"Password: " not in seen:
            seen += other.recv(4096)
        other.close()
        run, _, _ = measured("hmp", "hmp:" + qemu.hmp, "info status")
        failed_with("monitor_busy", run)


def one_that_never_prompts():
    with Monitor(lambda connection: time.sleep(10)) as double:
        run, took, _ = measured("hmp", double.address, "info name")
        failed_with("monitor_busy", run)
        expect(took < 5, took)

    def greets_only(connection):
        connection.sendall(b"QEMU 7.2.22 monitor\r\n")
        time.sleep(10)
    with Monitor(greets_only) as double:
        run, took, _ = measured("hmp", double.address, "info name")
        failed_with("protocol_violation", run)
        expect(took < 5, took)

    def forgets_to_answer(connection):
        connection.sendall(BANNER)
        connection.sendall(echo_of(read_line(connection)) + b"web\r\n")
        time.sleep(10)
    with Monitor(forgets_to_answer) as double:
        run, took, _ = measured("hmp", double.address, "info name", "--timeout", "1s")
        failed_with("timed_out", run)
        expect(run.returncode == 6 and took < 4, (run, took))


def one_that_closes_in_the_middle():
    def closes(connection):
        connection.sendall(BANNER)
        connection.sendall(echo_of(read_line(connection)) + b"  Bus  0, device   0, func")
    with Monitor(closes) as double:
        run, took, _ = measured("hmp", double.address, "info pci")
        failed_with("connection_lost", run)
        expect(run.returncode == 6 and took < 3, (run, took))


def one_that_prints_noise_without_end():
    def noise(connection):
        while True:
            connection.sendall(os.urandom(65536))
    with Monitor(noise) as double:
        run, took, memory = measured("hmp", double.address, "info name")
        failed_with("protocol_violation", run)
        expect(took < 5 and memory < 20, (took, memory))

    def noise_after_the_echo(connection):
        connection.sendall(BANNER)
        connection.sendall(echo_of(read_line(connection)))
        noise(connection)
    with Monitor(noise_after_the_echo) as double:
        run, took, memory = measured("hmp", double.address, "info name")
        failed_with("limit_exceeded", run)
        print(f"# endless output: {took:.2f} s, {memory:.0f} MB", flush=True)
        expect(took < 10 and memory < 40, (took, memory))


def a_prompt_in_a_guests_name_ends_nothing():
    with Qemu("(qemu) evil (qemu) ") as qemu:
        result = vmplug("hmp", "hmp:" + qemu.hmp, "info", "name")
        expect(result.json["output"] == "(qemu) evil (qemu) \n", result)
        for _ in range(10):
            expect(vmplug("hmp", "hmp:" + qemu.hmp, "info", "status").json["output"].startswith("VM status"), "status")


def escape_sequences_reach_no_terminal():
    def hostile(connection):
        connection.sendall(BANNER)
        connection.sendall(echo_of(read_line(connection)) + b"a\x1b[2J\x1b]0;owned\x07b\r\n(qemu) ")
        time.sleep(1)
    with Monitor(hostile) as double:
        result = vmplug("hmp", double.address, "info", "name", json_output=False)
        expect(result.code == 0 and "\x1b" not in result.stdout and "\\x1b[2J" in result.stdout, result)


def old_dialects_are_understood():
    for name in names():
        with OldQemu(name, work.name + "/old") as old:
            ports = vmplug("ports", old.address)
            expect([each["bus"] for each in ports.json["ports"]] == ["pci.0"] and ports.json["ports"][0]["free"], ports)
            result = vmplug("hmp", old.address, "info", "status")
            expect(result.json["output"] == "VM status: running\n", result)
            expect(vmplug("hmp", old.address, "info", "nothing").code == 3, name)
            rows = {each["check"]: each for each in vmplug("check", "--vm", old.address).json["checks"]}
            expect(rows["device model"]["evidence"] == "pci-assign" and rows["free port"]["state"] == "ok", rows)


run_tests([
    lines_over_both_transports_say_the_same,
    a_guest_with_nothing_but_a_human_monitor_is_found_and_seen,
    the_survey_is_the_same_over_qmp_and_over_hmp,
    a_wrong_protocol_is_told,
    a_held_monitor_names_its_holder,
    long_lines_and_their_limit,
    a_password_is_neither_typed_nor_left_to_the_next_client,
    one_that_never_prompts,
    one_that_closes_in_the_middle,
    one_that_prints_noise_without_end,
    a_prompt_in_a_guests_name_ends_nothing,
    escape_sequences_reach_no_terminal,
    old_dialects_are_understood,
])
