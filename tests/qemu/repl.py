"""The REPL on a terminal and from a script, against real QEMUs."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import VMPLUG, Qmp, expect, run_tests, wait_until

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")
os.environ.update(VMPLUG_STATE_DIR=work.name + "/state", XDG_STATE_HOME=work.name + "/xdg", TERM="xterm",
                  LANG="C.UTF-8")


class Qemu:
    def __init__(self, name):
        self.name = name
        self.path = f"{work.name}/{re.sub('[^a-z]', '_', name)}"
        self.start()

    def start(self):
        command = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", "32", "-nodefaults",
                   "-no-user-config", "-display", "none", "-S", "-name", f"guest={self.name}",
                   "-device", "pcie-root-port,id=rp0,chassis=1,slot=1"]
        for each in ("qmp", "other"):
            command += ["-qmp", f"unix:{self.path}.{each},server=on,wait=off"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(self.path + ".other"), 20, "QEMU runs")

    def stop(self):
        self.process.kill()
        self.process.wait()
        for each in ("qmp", "other"):
            os.unlink(f"{self.path}.{each}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Terminal:
    """vmplug on a pseudo-terminal."""

    def __init__(self, *arguments):
        self.begin = time.monotonic()
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execv(VMPLUG, ["vmplug", "repl", *arguments])
        self.seen = ""

    def until(self, text, seconds=10):
        """Reads until the text comes; returns what came up to it."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.file], [], [], max(0, end - time.monotonic()))
            try:
                expect(ready, f"no {text!r} in {self.seen!r}")
                self.seen += os.read(self.file, 65536).decode(errors="replace")
            except OSError:
                expect(False, f"ended without {text!r}: {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.file, text.encode())

    def command(self, line, wanted):
        self.type(line + "\r")
        return self.until(wanted)

    def end(self):
        """Returns the exit code."""
        try:
            while os.read(self.file, 65536):
                pass
        except OSError:
            pass
        os.close(self.file)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def script(*arguments, text=None):
    return subprocess.run([VMPLUG, "repl", *arguments], input=text, capture_output=True, text=True, timeout=20)


def the_prompt_comes_at_once_and_quit_leaves():
    with Qemu("alpha"), Terminal("alpha") as terminal:
        terminal.until("alpha> ")
        print(f"# prompt after {(time.monotonic() - terminal.begin) * 1000:.0f} ms", flush=True)
        terminal.command("query-name", '"name": "alpha"')
        terminal.until("s)")
        terminal.type("quit\r")
        expect(terminal.end() == 0, "quit")
    with Terminal() as terminal:
        terminal.until("vmplug> ")
        terminal.type("ab\x04\x15\x04")
        expect(terminal.end() == 0, "Ctrl-D")
    with Terminal() as terminal:
        terminal.until("vmplug> ")
        os.close(terminal.file)
        wait_until(lambda: os.waitpid(terminal.pid, os.WNOHANG)[0], 5, "ended when its terminal went away")


def names_are_completed():
    with Qemu("alpha"), Terminal("alpha") as terminal:
        terminal.until("alpha> ")
        terminal.type("query-versi\t")
        terminal.until("query-version ")
        terminal.type("\x15device_add driver=e1000e ma\t")
        terminal.until("mac=")
        terminal.type("\x15device_add driver=e100\t\t")
        terminal.until("e1000-82544gc")
        terminal.type("\x15device_add driver=e1000e bus=r\t")
        terminal.until("bus=rp0")
        terminal.type("\x15blockdev-change-medium read-only-mode=rea\t\t")
        terminal.until("read-write")
        terminal.type("\x15rec\t")
        terminal.until("recover ")


def an_event_leaves_the_line_that_is_written_intact():
    with Qemu("alpha") as qemu, Terminal("alpha") as terminal:
        terminal.until("alpha> ")
        terminal.type("query-na")
        terminal.until("query-na")
        with Qmp(qemu.path + ".other") as other:
            other.call("cont")
        terminal.until("alpha: RESUME")
        terminal.until("alpha> query-na")
        terminal.command("me", '"name": "alpha"')


def control_c_gives_up_a_line_and_a_command_but_not_the_prompt():
    with Qemu("alpha") as qemu, Terminal("alpha") as terminal:
        terminal.until("alpha> ")
        terminal.type("half a line")
        terminal.until("half a line")
        terminal.type("\x03")
        terminal.until("alpha> ")
        terminal.command("query-name", '"name": "alpha"')
        terminal.until("alpha> ")
        qemu.process.send_signal(signal.SIGSTOP)
        terminal.type("query-status\r")
        time.sleep(0.3)
        terminal.type("\x03")
        terminal.until("cancelled", 3)
        qemu.process.send_signal(signal.SIGCONT)
        terminal.until("alpha> ")
        terminal.command("query-name", '"name": "alpha"')


def several_guests_are_open_at_once():
    with Qemu("alpha"), Qemu("beta") as beta, Terminal("alpha") as terminal:
        terminal.until("alpha> ")
        terminal.command("use beta", "beta> ")
        terminal.command("query-name", '"name": "beta"')
        terminal.command("use alpha", "alpha> ")
        with Qmp(beta.path + ".other") as other:
            other.call("cont")
        terminal.until("beta: RESUME")
        terminal.command("ports", "rp0")
        terminal.until("alpha> ")
        terminal.command("!info status", "VM status")
        terminal.command("use nobody", "vm_not_found")


def a_monitor_that_goes_away_and_comes_back():
    with Qemu("alpha") as qemu, Terminal("alpha") as terminal:
        terminal.until("alpha> ")
        qemu.stop()
        terminal.until("the monitor is gone")
        qemu.start()
        terminal.until("connected again")
        terminal.command("query-name", '"name": "alpha"')


def history_is_kept_and_searched():
    with Qemu("alpha"):
        with Terminal("alpha") as terminal:
            terminal.until("alpha> ")
            terminal.command("query-version", "(")
            terminal.until("alpha> ")
            terminal.type("quit\r")
            expect(terminal.end() == 0, "quit")
        history = work.name + "/xdg/vmplug/history"
        expect(os.stat(history).st_mode & 0o777 == 0o600, oct(os.stat(history).st_mode))
        with Terminal("alpha") as terminal:
            terminal.until("alpha> ")
            terminal.type("vers\x12")
            terminal.until("query-version")
            terminal.type("\r")
            terminal.until('"qemu"')


def json_may_have_several_lines():
    with Qemu("alpha"), Terminal("alpha") as terminal:
        terminal.until("alpha> ")
        terminal.type('{"execute": "qom-get",\r')
        terminal.until("... ")
        terminal.type('"arguments": {"path": "/machine", "property": "type"}}\r')
        terminal.until("pc-q35")


def a_script_stops_at_the_first_failure():
    with Qemu("alpha"):
        result = script("alpha", "-c", "query-status; device_del id=nobody; query-name")
        expect(result.returncode == 3 and "prelaunch" in result.stdout and "alpha" not in result.stdout, result)
        expect("DeviceNotFound" in result.stderr, result)
        result = script("alpha", text="# a comment\nquery-name\n\nvms\n")
        expect(result.returncode == 0 and '"alpha"' in result.stdout and "NAME" in result.stdout, result)
        result = script("nobody", "-c", "query-name")
        expect(result.returncode == 3, result)
        result = script("alpha", "-c", 'device_add driver="e1000e')
        expect(result.returncode == 3 and "open" in result.stderr, result)


def values_are_typed_by_qemus_schema():
    with Qemu("alpha") as qemu:
        done = script("alpha", "-c", "device_add driver=e1000e id=nic bus=rp0 multifunction=on addr=0x0; "
                      "set_link name=nic up=off; qom-get path=/machine/peripheral/nic property=multifunction")
        expect(done.returncode == 0 and "true" in done.stdout, done)
        wrong = script("alpha", "-c", "set_link name=nic up=perhaps")
        expect(wrong.returncode == 3 and "no value of type bool" in wrong.stderr, wrong)
        wrong = script("alpha", "-c", "blockdev-change-medium filename=x read-only-mode=never")
        expect(wrong.returncode == 3 and "read-write" in wrong.stderr, wrong)
        expect(qemu.process.poll() is None, "QEMU ended")


def a_transcript_is_a_script():
    with Qemu("alpha"):
        record = work.name + "/transcript"
        first = script("alpha", "--json", "--transcript", record, "-c", "query-name; !info status; ports")
        lines = [json.loads(each) for each in open(record)]
        expect(first.returncode == 0 and len(lines) == 6, lines)
        expect(os.stat(record).st_mode & 0o777 == 0o600, "mode")
        expect([each["input"] for each in lines[::2]] == ["query-name", " !info status", " ports"], lines)
        again = script("alpha", "--json", text=open(record).read())
        expect(again.returncode == 0 and again.stdout == first.stdout, (first, again))


def a_hostile_name_forges_no_prompt():
    name = "x\x1b[2J\nalpha> quit"
    with Qemu(name) as qemu, Terminal(str(qemu.process.pid)) as terminal:
        terminal.until("> ")
        shown = terminal.command("query-name", "(")
        shown += terminal.command("vms", "(")
        expect("\x1b[2J" not in shown and "\nalpha> quit" not in shown.replace("\r", ""), repr(shown))


def one_shot_is_fast():
    with Qemu("alpha") as qemu:
        def best(*command):
            times = []
            for _ in range(20):
                begin = time.monotonic()
                subprocess.run(command, stdout=subprocess.DEVNULL, input=b'{"execute":"qmp_capabilities"}\n'
                               b'{"execute":"query-status"}\n' if command[0] == "socat" else b"")
                times.append((time.monotonic() - begin) * 1000)
            return sorted(times)[2]
        ours = best(VMPLUG, "repl", qemu.path + ".qmp", "-c", "query-status")
        socat = best("socat", "-t0.05", "-", f"UNIX-CONNECT:{qemu.path}.qmp")
        print(f"# repl -c query-status {ours:.1f} ms, socat {socat:.1f} ms", flush=True)
        expect(ours < 3 * socat, (ours, socat))


run_tests([
    the_prompt_comes_at_once_and_quit_leaves,
    names_are_completed,
    an_event_leaves_the_line_that_is_written_intact,
    control_c_gives_up_a_line_and_a_command_but_not_the_prompt,
    several_guests_are_open_at_once,
    a_monitor_that_goes_away_and_comes_back,
    history_is_kept_and_searched,
    json_may_have_several_lines,
    a_script_stops_at_the_first_failure,
    values_are_typed_by_qemus_schema,
    a_transcript_is_a_script,
    a_hostile_name_forges_no_prompt,
    one_shot_is_fast,
])
