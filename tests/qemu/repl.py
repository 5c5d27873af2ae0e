"""The REPL on a terminal and from a script, against real QEMUs."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import VMPLUG, Qmp, expect, run_tests, wait_until
from terminal import Terminal

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")
os.environ.update(VMPLUG_STATE_DIR=work.name + "/state", XDG_STATE_HOME=work.name + "/xdg", TERM="xterm",
                  LANG="C.UTF-8", NO_COLOR="1")
os.environ.pop("PAGER", None)


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


def history_is_a_file_of_ones_own():
    state = work.name + "/planted"
    target = work.name + "/precious"
    os.makedirs(state + "/vmplug")
    with open(target, "w") as file:
        file.write("query-uuid\n")

    def run_there():
        with Terminal("repl", XDG_STATE_HOME=state) as terminal:
            terminal.until("vmplug> ")
            terminal.command("explain no_iommu", "vmplug> ")
            terminal.type("\x10\x10")  # the line before that one, if there is any
            terminal.screen_shows("vmplug> explain no_iommu")
            terminal.type("\x15quit\r")
            expect(terminal.end() == 0, "quit")
        with open(target) as file:
            expect(file.read() == "query-uuid\n", "it was written to")

    os.symlink(target, state + "/vmplug/history")
    run_there()
    os.unlink(state + "/vmplug/history")
    os.link(target, state + "/vmplug/history")
    run_there()
    os.unlink(state + "/vmplug/history")
    os.mkfifo(state + "/vmplug/history")
    run_there()
    os.unlink(state + "/vmplug/history")
    run_there()
    with open(state + "/vmplug/history") as file:
        expect("no_iommu" in file.read(), "it is kept")
    if os.geteuid() == 0:  # as under sudo with somebody's home
        os.unlink(state + "/vmplug/history")
        os.chown(state, 65534, 65534)
        run_there()
        expect(os.listdir(state + "/vmplug") == [], "written below another user's home")


def script(*arguments, text=None):
    return subprocess.run([VMPLUG, "repl", *arguments], input=text, capture_output=True, text=True, timeout=20)


def the_prompt_comes_at_once_and_quit_leaves():
    def quickest(*arguments, text):
        times = []
        for _ in range(10):
            with Terminal(*arguments) as terminal:
                terminal.until(text)
                times.append((time.monotonic() - terminal.begin) * 1000)
        return min(times)

    with Qemu("alpha"), Terminal("repl", "alpha") as terminal:
        terminal.until("alpha> ")
        terminal.command("query-name", '"name": "alpha"')
        terminal.until("s)")
        terminal.type("quit\r")
        expect(terminal.end() == 0, "quit")
        prompt, start = quickest("repl", "alpha", text="alpha> "), quickest("--version", text="vmplug")
        print(f"# prompt after {prompt:.1f} ms, --version after {start:.1f} ms", flush=True)
        expect(prompt < 4 * start, (prompt, start))
    with Terminal("repl", "nobody") as terminal:
        terminal.until("vm_not_found")
        expect(terminal.end() == 3, "a guest that is not there")
    with Terminal("repl") as terminal:
        terminal.until("vmplug> ")
        terminal.type("ab\x04\x15\x04")
        expect(terminal.end() == 0, "Ctrl-D")
    with Terminal("repl") as terminal:
        terminal.until("vmplug> ")
        os.close(terminal.file)
        wait_until(lambda: os.waitpid(terminal.pid, os.WNOHANG)[0], 5, "ended when its terminal went away")


def names_are_completed():
    with Qemu("alpha"), Terminal("repl", "alpha") as terminal:
        terminal.until("alpha> ")
        terminal.type("query-versi\t")
        terminal.screen_shows("alpha> query-version")
        terminal.type("\x15device_add driver=e1000e ma\t")
        terminal.until("mac=")
        terminal.type("\x15device_add driver=e1000e m\t\t")
        listed = terminal.until("device_add driver=e1000e m")
        listed += terminal.until("device_add driver=e1000e m")
        expect("multifunction=" in listed and "bool, default false" in listed, listed)
        terminal.type("\x15device_add driver=\t\t")
        terminal.until("pcie-root-port")
        terminal.until("vfio-pci")
        terminal.type("\x15device_add driver=e1000e bus=r\t")
        terminal.screen_shows("alpha> device_add driver=e1000e bus=rp0")
        terminal.type("\x15blockdev-change-medium read-only-mode=rea\t\t")
        terminal.until("read-write")
        terminal.type("\x15rec\t")
        terminal.until("recover ")
        terminal.type("\x15ports al\t")
        terminal.until("ports alpha ")
        terminal.type("\x15use al\t")
        terminal.until("use alpha ")
        terminal.type("\x15attach --dri\t")
        terminal.until("attach --driver ")
        terminal.type("vf\t")
        terminal.until("vfio-pci ")
        terminal.type("\x15!info vers\t")
        terminal.screen_shows("alpha> !info version")
        terminal.type("\x15hmp device_a\t")
        terminal.screen_shows("alpha> hmp device_add")
        # The guest in use need not be written: its ports, asked over the connection that is open.
        terminal.type("\x15attach 01:00.0 --port r\t")
        terminal.until("--port rp0 ")


def an_event_leaves_the_line_that_is_written_intact():
    with Qemu("alpha") as qemu, Terminal("repl", "alpha") as terminal:
        terminal.until("alpha> ")
        # The prompt is there before the connection, over which events come; a reply is not.
        terminal.command("query-name", '"name": "alpha"')
        terminal.until("alpha> ")
        terminal.type("query-na")
        terminal.until("query-na")
        with Qmp(qemu.path + ".other") as other:
            other.call("cont")
        terminal.until("alpha: RESUME")
        terminal.until("alpha> query-na")
        terminal.command("me", '"name": "alpha"')


def control_c_gives_up_a_line_and_a_command_but_not_the_prompt():
    with Qemu("alpha") as qemu, Terminal("repl", "alpha") as terminal:
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


def a_completion_can_be_given_up():
    with Qemu("alpha") as qemu, Terminal("repl", "alpha") as terminal:
        terminal.command("query-name", '"name": "alpha"')
        terminal.until("alpha> ")
        qemu.process.send_signal(signal.SIGSTOP)
        terminal.type("que\t")
        time.sleep(0.3)
        terminal.type("\x03")
        terminal.until("alpha> ", 2)
        qemu.process.send_signal(signal.SIGCONT)
        # What could not be asked then is asked now: 5 is a name here.
        terminal.command("device_del id=5", "Device '5' not found")
        terminal.until("alpha> ")
        terminal.type("\x16\t\t")
        terminal.type("\x15query-versi\t")
        terminal.screen_shows("alpha> query-version")
    with Qemu("alpha") as qemu, Terminal("repl", "alpha") as terminal:
        terminal.command("query-name", '"name": "alpha"')
        terminal.until("alpha> ")
        qemu.process.send_signal(signal.SIGSTOP)
        terminal.type("que\t")
        time.sleep(0.3)
        os.kill(terminal.pid, signal.SIGTERM)
        expect(terminal.end(3) == 0, "SIGTERM")


def a_terminal_that_comes_and_goes():
    with Terminal("repl") as terminal:
        terminal.until("vmplug> ")
        terminal.type("half")
        terminal.until("half")
        os.kill(terminal.pid, signal.SIGSTOP)
        attributes = termios.tcgetattr(terminal.file)
        attributes[3] |= termios.ICANON | termios.ECHO # as a shell leaves it
        termios.tcsetattr(terminal.file, termios.TCSANOW, attributes)
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.until("vmplug> half")
        expect(not termios.tcgetattr(terminal.file)[3] & termios.ICANON, "the terminal is not the prompt's again")
    with Terminal("repl", ignored=[signal.SIGHUP]) as terminal:
        terminal.until("vmplug> ")
        terminal.type("\x12")
        terminal.until("(search)")
        os.close(terminal.file)
        wait_until(lambda: os.waitpid(terminal.pid, os.WNOHANG)[0], 5, "ended when its terminal went away")


def characters_of_several_bytes_are_written():
    with Qemu("gäst"), Terminal("repl", XDG_STATE_HOME=work.name + "/wide") as terminal:
        terminal.until("vmplug> ")
        terminal.command("use gäst", "gäst> ")
        terminal.type("\x12gä")
        terminal.screen_shows("(search 'gä'): use gäst")
        terminal.type("s")
        terminal.screen_shows("(search 'gäs'): use gäst")


def several_guests_are_open_at_once():
    with Qemu("alpha"), Qemu("beta") as beta, Terminal("repl", "alpha") as terminal:
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
    with Qemu("alpha") as qemu, Terminal("repl", "alpha") as terminal:
        terminal.until("alpha> ")
        terminal.command("query-name", '"name": "alpha"') # the prompt does not wait for the connection
        terminal.until("alpha> ")
        qemu.stop()
        terminal.until("the monitor is gone")
        qemu.start()
        terminal.until("connected again")
        terminal.command("query-name", '"name": "alpha"')
        qemu.stop()
        terminal.until("the monitor is gone")
        terminal.command("close", "vmplug> ")
        terminal.command("query-name", "no guest is open")
        qemu.start()
        terminal.until("vmplug> ")
        terminal.command("use alpha", "alpha> ")
        terminal.command("use alpha", "alpha> ")
        with Qmp(qemu.path + ".other") as other:
            other.call("cont")
        terminal.until("alpha: RESUME")
        shown = terminal.command("query-name", '"name": "alpha"')
        expect("RESUME" not in shown, f"told twice: {shown}")


def greet_and_close(listener, times):
    """A monitor that negotiates, and closes: when it was connected to."""
    while True:
        client, _ = listener.accept()
        times.append(time.monotonic())
        version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}
        client.sendall(json.dumps({"QMP": {"version": version, "capabilities": []}}).encode() + b"\r\n")
        asked = json.loads(client.recv(65536))
        client.sendall(json.dumps({"return": {}, "id": asked["id"]}).encode() + b"\r\n")
        client.close()


def a_monitor_that_closes_at_once_is_not_stormed():
    path, times = work.name + "/closes", []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        threading.Thread(target=greet_and_close, args=[listener, times], daemon=True).start()
        with Terminal("repl", "qmp:" + path) as terminal:
            terminal.until("the monitor is gone")
            wait_until(lambda: len(times) >= 4, 10, "it is tried again")
            gaps = [after - before for before, after in zip(times, times[1:])][:3]
            expect(all(gap > wanted for gap, wanted in zip(gaps, (0.45, 0.9, 1.8))), gaps)
            # What is typed does not wait for that.
            count, begin = len(times), time.monotonic()
            terminal.type("query-name\r")
            wait_until(lambda: len(times) > count, 10, "a command connects")
            expect(times[count] - begin < 1, times)
            begin = time.monotonic()
            terminal.type("quit\r")
            expect(terminal.end() == 0 and time.monotonic() - begin < 1, "quit waits for nothing")


def history_is_kept_and_searched():
    with Qemu("alpha"):
        with Terminal("repl", "alpha", XDG_STATE_HOME=work.name + "/own") as terminal:
            terminal.until("alpha> ")
            terminal.command("query-version", "(")
            terminal.until("alpha> ")
            terminal.type("quit\r")
            expect(terminal.end() == 0, "quit")
        history = work.name + "/own/vmplug/history"
        expect(os.stat(history).st_mode & 0o777 == 0o600, oct(os.stat(history).st_mode))
        with Terminal("repl", "alpha", XDG_STATE_HOME=work.name + "/own") as terminal:
            terminal.until("alpha> ")
            for line in ("query-status", "query-name"):
                terminal.command(line, "alpha> ")
            terminal.type("half\x12")
            terminal.until("(search)")
            # Each key narrows it, Ctrl-R goes on to an older line.
            for key, wanted in (("q", "(search 'q'): query-name"), ("u", "(search 'qu'): query-name"),
                                ("\x12", "(search 'qu'): query-status"), ("\x12", "(search 'qu'): quit"),
                                ("\x12", "(search 'qu'): query-version"),
                                ("\x12", "(not found 'qu'): query-version"), ("\x7f", "(search 'q'): query-name"),
                                ("\x7fversion", "(search 'version'): query-version")):
                terminal.type(key)
                terminal.screen_shows(wanted)
            terminal.type("\r")
            terminal.until('"qemu"')
            terminal.until("alpha> ")
            terminal.type("half\x12stat\x07")
            terminal.screen_shows("alpha> half")
            terminal.type("\x15\x12stat\x05")
            terminal.screen_shows("alpha> query-status")
            terminal.type("\r")
            terminal.until("prelaunch")


def verbs_share_the_connection_and_events_go_on():
    with Qemu("alpha") as qemu, Qmp(qemu.path + ".other"), Terminal("repl", "alpha") as terminal:
        terminal.until("alpha> ")
        # Both monitors are held now: whatever follows goes over the one that the prompt has.
        terminal.command("qmp cont", "alpha: RESUME")
        terminal.until("alpha> ")
        terminal.command("vms", "running")
        terminal.until("alpha> ")
        terminal.command("ports --tree", "rp0  pcie-root-port: free")
        terminal.until("alpha> ")
        terminal.command("!info status", "VM status: running")
        terminal.until("alpha> ")
        terminal.command("qmp stop", "alpha: STOP")


def a_long_reply_goes_to_the_pager():
    with Qemu("alpha") as qemu, Terminal("repl", "alpha", rows=12) as terminal:
        terminal.until("alpha> ")
        terminal.type("query-commands\r")
        terminal.until(":\x1b[K") # less has drawn a screen and waits
        with Qmp(qemu.path + ".other") as other:
            other.call("cont")
        terminal.type("!id\r")
        shown = terminal.until("available")
        expect("uid=" not in shown and "RESUME" not in shown, shown)
        terminal.type("\rq")
        terminal.until("alpha: RESUME")
        terminal.until("alpha> ")
        terminal.command("query-name", '"name": "alpha"')
    with Qemu("alpha"), Terminal("repl", "alpha", rows=12, PAGER="/nowhere/pager") as terminal:
        terminal.until("alpha> ")
        terminal.command("query-commands", "query-qmp-schema")


def colours_are_for_terminals_that_want_them():
    with Qemu("alpha"):
        with Terminal("repl", "alpha", NO_COLOR="") as terminal:
            terminal.until("alpha> ")
            terminal.command("query-name", '\x1b[36m"name"\x1b[0m: \x1b[35m"alpha"\x1b[0m')
        expect("\x1b" not in script("alpha", "-c", "query-name; vms").stdout, "colours in a pipe")


def json_may_have_several_lines():
    with Qemu("alpha"), Terminal("repl", "alpha") as terminal:
        terminal.until("alpha> ")
        terminal.type('{"execute": "qom-get",\r')
        terminal.until("... ")
        terminal.type("\x03")
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
        for line in ("attach --help", "help attach", "attach --nonsense", "query-name", "use nobody"):
            said = script("alpha", "--json", "-c", line).stdout
            expect(said.count("\n") == 1 and isinstance(json.loads(said), dict), (line, said))
        for deep in ('query-name a=' + "[" * 2000 + "]" * 2000, '{"execute": "query-name", "arguments": {"a": '
                     + "[" * 300000 + "]" * 300000 + "}}"):
            result = script("alpha", text=deep)
            expect(result.returncode == 3 and "deeper than QEMU reads" in result.stderr, result.returncode)
        result = script("alpha", "-c", 'device_add driver="e1000e')
        expect(result.returncode == 3 and "open" in result.stderr, result)


def a_name_that_is_none_is_bad_usage_in_scripts():
    with Qemu("alpha"):
        for line in ('ports ""', 'use ""', "use ' '", 'use', 'attach "" 00:05.0', 'detach ""', '""', '!', 'hmp ',
                     'list "a\nb"', "attach 00:05.0 --id=", "attach 00:05.0 --id ''", "repl", "explain ''"):
            for options in ([], ["--json"]):
                result = script("alpha", *options, text=line + "\nquery-name\n")
                expect(result.returncode == 2, (line, result))
                shown = result.stdout if options else result.stderr
                expect("invalid_argument" in shown and "alpha" not in result.stdout, (line, result))
                expect(not options or json.loads(shown)["outcome"] == "usage", result)
        result = script("alpha", "--json", text="ports al\0pha\n")
        expect(result.returncode == 2 and "NUL" in result.stdout, result)
        for line in ("", "# nothing", "qom-get path=/machine property=type"):
            expect(script("alpha", "-c", line).returncode == 0, line)


def values_are_typed_by_qemus_schema():
    with Qemu("alpha") as qemu:
        done = script("alpha", "-c", "device_add driver=e1000e id=nic bus=rp0 multifunction=on addr=0x0; "
                      "set_link name=nic up=off; qom-get path=/machine/peripheral/nic property=multifunction")
        expect(done.returncode == 0 and "true" in done.stdout, done)
        wrong = script("alpha", "-c", "query-versoin")
        expect(wrong.returncode == 3 and "did you mean 'query-version'?" in wrong.stderr, wrong)
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
    with Qemu(name) as qemu, Terminal("repl", str(qemu.process.pid)) as terminal:
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
    a_completion_can_be_given_up,
    a_terminal_that_comes_and_goes,
    characters_of_several_bytes_are_written,
    several_guests_are_open_at_once,
    a_monitor_that_goes_away_and_comes_back,
    a_monitor_that_closes_at_once_is_not_stormed,
    history_is_kept_and_searched,
    history_is_a_file_of_ones_own,
    verbs_share_the_connection_and_events_go_on,
    a_long_reply_goes_to_the_pager,
    colours_are_for_terminals_that_want_them,
    json_may_have_several_lines,
    a_script_stops_at_the_first_failure,
    a_name_that_is_none_is_bad_usage_in_scripts,
    values_are_typed_by_qemus_schema,
    a_transcript_is_a_script,
    a_hostile_name_forges_no_prompt,
    one_shot_is_fast,
])
