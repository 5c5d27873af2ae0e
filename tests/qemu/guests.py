"""Which processes are guests, where their monitors are, and that the one that was named answers."""
import contextlib
import glob
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import Qmp, expect, run_tests, vmplug, wait_until
from qapi_schema import Schema

work = tempfile.TemporaryDirectory(prefix="vmplug-guests.")
EMULATOR = shutil.which("qemu-system-x86_64")
NOBODY = 65534
COMMON = ["-accel", "tcg", "-machine", "q35", "-m", "16", "-nodefaults", "-no-user-config", "-display", "none", "-S"]
# A root that is no mount point, as of a plain chroot, cannot be made private.
with open("/proc/self/mountinfo") as mounts:
    PROPAGATION = [] if any(line.split()[4] == "/" for line in mounts) else ["--propagation", "unchanged"]
IN_MOUNTS = ["unshare", "-m", *PROPAGATION]
IN_NETWORK = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]


def place(name):
    return os.path.join(work.name, name)


def quiet(command, **options):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def guests():
    return vmplug("vms").json["guests"]


def guest_of(pid):
    return next((each for each in guests() if each["pid"] == pid), None)


def listens(pid):
    """Whether it is a guest with a monitor."""
    found = guest_of(pid)
    return found if found and found["monitors"] else None


class Guest:
    """A QEMU without a guest program. `before`: words that start it; `program`: of the emulator."""

    def __init__(self, name, *options, before=(), program=EMULATOR, **more):
        self.name = name
        words = ["-name", name] if name else []
        self.process = quiet([*before, program, *COMMON, *words, *options], cwd=work.name, **more)
        self.pid = self.process.pid

    def __enter__(self):
        try:
            wait_until(lambda: listens(self.pid), 20, f"{self.name} listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Impostor:
    """Accepts at a socket and counts; says nothing unless it is given a greeting."""

    def __init__(self, path, greeting=b""):
        self.accepted = 0
        self.greeting = greeting
        self.schema = Schema()
        self.offences = []  # of answers that no QEMU gives
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        decoder, rest = json.JSONDecoder(), ""
        with connection, contextlib.suppress(OSError):
            connection.sendall(self.greeting)
            while data := connection.recv(65536):
                rest += data.decode()
                while rest := rest.lstrip():
                    try:
                        request, end = decoder.raw_decode(rest)
                    except ValueError:
                        break
                    rest = rest[end:]
                    if not (command := request.get("execute")):
                        continue
                    answers = {"qmp_capabilities": {}, "query-name": {"name": "impostor"},
                               "device-list-properties": [], "qom-list": []}
                    if command in answers and (offence := self.schema.offence(command, answers[command])):
                        self.offences.append(offence)
                    reply = {"return": answers[command]} if command in answers else \
                        {"error": {"class": "CommandNotFound", "desc": command}}
                    connection.sendall(json.dumps(reply | {"id": request["id"]}).encode() + b"\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        expect(not self.offences, self.offences)


GREETING = (b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, '
            b'"capabilities": []}}\r\n')


def name_by(vm):
    result = vmplug("qmp", vm, "query-name")
    expect(result.code == 0, result)
    return result.json["return"].get("name")


def pci_device():
    found = sorted(os.listdir("/sys/bus/pci/devices")) if os.path.isdir("/sys/bus/pci/devices") else []
    return found[0] if found else None


def dry_attach(vm, *options):
    """An attach that is not done: who it would be for, and what stands against it."""
    return vmplug("attach", vm, pci_device(), "--dry-run", "--state-dir", place("state"), *options)


def monitors_of(pid):
    return [(each["address"], each["unusable"]) for each in guest_of(pid)["monitors"]]


# Where the monitor is.


def each_form_of_the_command_line_leads_to_the_socket():
    handed = socket.socket(socket.AF_UNIX)
    handed.bind(place("handed"))
    handed.listen(1)
    with open(place("read.cfg"), "w") as config:
        config.write('[chardev "m"]\n  backend = "socket"\n  path = "read.qmp"\n  server = "on"\n  wait = "off"\n'
                     '[mon "x"]\n  chardev = "m"\n  mode = "control"\n[name]\n  guest = "moira-config"\n')
    mon = ["-mon", "chardev=m,mode=control"]
    listening = "server=on,wait=off"
    forms = {
        "moira-comma": ["-chardev", f"socket,id=m,path={place('a')},,b,{listening}", *mon],
        "moira-short": ["-qmp", "unix:c,,d,server,nowait"],
        "moira-handed": ["-qmp", f"unix:fd={handed.fileno()},server,nowait"],
        "moira-six": ["-chardev", f"socket,id=m,host=::1,port=0,{listening}", *mon],
        "moira-any": ["-qmp", f"tcp::47701,{listening}"],
        "moira-range": ["-chardev", f"socket,id=m,host=127.0.0.1,port=47701,to=47709,{listening}", *mon],
        "moira-abstract": ["-chardev", f"socket,id=m,path=moira.a,abstract=on,{listening}", *mon],
        "moira-padded": ["-chardev", f"socket,id=m,path=moira.p,abstract=on,tight=off,{listening}", *mon],
        "moira-name,process=web-vm": ["-qmp", f"unix:process.qmp,{listening}"],
        "": ["-readconfig", "read.cfg"],
    }
    started = []
    try:
        for name, options in forms.items():
            passed = [handed.fileno()] if name == "moira-handed" else []
            started.append(Guest(name, *options, pass_fds=passed).__enter__())
        for guest in started:
            name = guest.name.split(",")[0] or "moira-config"
            expect(name_by(name) == name and name_by(str(guest.pid)) == name, name)
        addresses = {each["name"]: each["monitors"][0]["address"] for each in guests() if each["monitors"]}
        expect(addresses["moira-comma"] == f"qmp:{place('a,b')}", addresses)
        expect(addresses["moira-short"] == f"qmp:{place('c,d')}", addresses)
        expect(addresses["moira-range"] == "tcp:127.0.0.1:47702", addresses)
        expect(addresses["moira-abstract"] == "qmp:@moira.a", addresses)
        for name in ("moira-comma", "moira-six", "moira-abstract", "moira-config"):
            expect(name_by(addresses[name]) == name, f"by its address: {addresses[name]}")
    finally:
        handed.close()
        for guest in started:
            guest.__exit__()


def a_guest_that_has_left_its_directory_is_reached():
    pidfile = place("daemon.pid")
    subprocess.run([EMULATOR, *COMMON, "-name", "moira-daemon", "-qmp", "unix:./daemon.qmp,server=on,wait=off",
                    "-daemonize", "-pidfile", pidfile], cwd=work.name, check=True, stdout=subprocess.DEVNULL)
    pid = int(open(pidfile).read())
    try:
        expect(name_by("moira-daemon") == "moira-daemon", "by its name")
        expect(monitors_of(pid) == [(f"qmp:{place('daemon.qmp')}", None)], monitors_of(pid))
    finally:
        os.kill(pid, 9)


def a_guest_in_another_root_is_reached():
    os.makedirs(place("jail"))
    with Guest("moira-jail", "-qmp", f"unix:{place('jail.qmp')},server=on,wait=off", "-chroot", place("jail")):
        expect(name_by("moira-jail") == "moira-jail", "chroot of QEMU")
    # A mount namespace in which /mnt is another one, so that its paths say something else to us.
    script = 'mount -t tmpfs none /mnt; exec "$@"'
    with Guest("moira-mount", "-qmp", "unix:/mnt/moira.qmp,server=on,wait=off",
               before=[*IN_MOUNTS, "sh", "-c", script, "sh"]) as guest:
        expect(not os.path.exists("/mnt/moira.qmp"), "it is seen from here")
        expect(name_by("moira-mount") == "moira-mount", "mount namespace")
        expect(name_by(monitors_of(guest.pid)[0][0]) == "moira-mount", "the address works by itself")


def a_path_longer_than_a_socket_address_is_reached():
    deep = place("/".join(["deep" * 10] * 3))
    os.makedirs(deep)
    long = os.path.join(deep, "x.qmp")
    expect(len(long) > 108, long)
    guest = Guest("moira-long", "-qmp", "unix:x.qmp,server=on,wait=off", before=["env", "-C", deep])
    with guest:
        expect(name_by("moira-long") == "moira-long" and name_by(long) == "moira-long", "long path")


def a_moved_socket_is_still_the_same_one():
    with Guest("moira-moved", "-qmp", "unix:moved.qmp,server=on,wait=off") as guest:
        os.rename(place("moved.qmp"), place("elsewhere.qmp"))
        expect(name_by("moira-moved") == "moira-moved", "renamed")
        os.unlink(place("elsewhere.qmp"))
        result = vmplug("qmp", "moira-moved", "query-name")
        expect(result.code == 3 and result.error["code"] == "monitor_unusable", result)
        expect("gone" in monitors_of(guest.pid)[0][1], "the reason")


def monitors_that_cannot_be_spoken_to_say_why():
    with Guest("moira-telnet", "-monitor", "telnet:127.0.0.1:47720,server,nowait") as guest:
        (address, why), = monitors_of(guest.pid)
        expect(address == "hmp:tcp:127.0.0.1:47720" and "telnet" in why, (address, why))
        result = vmplug("hmp", "moira-telnet", "info status")
        expect(result.code == 3 and result.error["code"] == "monitor_unusable", result)
    with Guest("moira-web", "-chardev", "socket,id=m,host=127.0.0.1,port=47721,websocket=on,server=on,wait=off",
               "-mon", "chardev=m,mode=control") as guest:
        expect("websocket" in monitors_of(guest.pid)[0][1], "websocket")


def what_a_guest_connects_to_is_no_monitor():
    with Impostor(place("events.sock"), GREETING) as manager, \
            Guest("moira-client", "-qmp", "unix:client.qmp,server=on,wait=off",
                  "-chardev", f"socket,id=events,path={place('events.sock')},reconnect=5",
                  "-mon", "chardev=events,mode=control") as guest:
        wait_until(lambda: manager.accepted == 1, 10, "QEMU has connected")
        expect(monitors_of(guest.pid) == [(f"qmp:{place('client.qmp')}", None)], monitors_of(guest.pid))
        expect(name_by("moira-client") == "moira-client", "its own monitor")
        expect(manager.accepted == 1, "somebody else connected to the manager")


# Which processes are guests.


def a_guest_is_found_once_and_nothing_else_is_one():
    others = [["sh", "-c", "sleep 60; :", "qemu-start", "-name", "moira-once"]]
    agent = place("qemu-ga")
    shutil.copy(shutil.which("sleep"), agent)
    others.append([agent, "60"])
    # It says that it is a guest, and listens nowhere.
    others.append([sys.executable, "-c", "import time; time.sleep(60)", "-name", "moira-once", "-qmp",
                   "unix:once.qmp,server=on,wait=off"])
    if storage := shutil.which("qemu-storage-daemon"):
        others.append([storage, "--chardev", "socket,id=m,path=storage.qmp,server=on,wait=off", "--monitor",
                       "chardev=m"])
    running = [quiet(each, cwd=work.name) for each in others]
    try:
        with Guest("moira-once", "-qmp", "unix:once.qmp,server=on,wait=off") as guest:
            pids = [each["pid"] for each in guests()]
            expect(pids.count(guest.pid) == 1 and not set(pids) & {each.pid for each in running}, pids)
            expect(name_by("moira-once") == "moira-once", "by name")
    finally:
        for each in running:
            each.kill()
            each.wait()


def a_start_script_that_keeps_the_socket_is_no_second_guest():
    script = place("qemu-start")
    with open(script, "w") as file:
        file.write("""import os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX)
s.bind("kept.qmp")
s.listen(1)
os.dup2(s.fileno(), 9)
sys.exit(subprocess.run(sys.argv[1:], pass_fds=[9], stdin=subprocess.DEVNULL).returncode)
""")
    def found():
        return [each for each in guests() if each["name"] == "moira-kept" and each["monitors"]]

    guest = Guest("moira-kept", "-qmp", "unix:fd=9,server=on,wait=off", before=[sys.executable, script])
    try:
        wait_until(lambda: any(os.path.basename(each["program"]).startswith("qemu-system") for each in found()), 20,
                   "QEMU runs")
        only, = found()
        expect(only["pid"] != guest.pid and name_by("moira-kept") == "moira-kept", only)
    finally:
        for each in found():
            if each["pid"] != guest.pid:
                os.kill(each["pid"], 9)
        guest.__exit__()


def an_emulator_under_another_name_is_a_guest():
    """By what it does: wrappers, and QEMUs that are run through the dynamic linker."""
    linker = glob.glob("/lib64/ld-linux-*.so.2") or glob.glob("/lib/ld-linux-*.so.1")
    modules = os.path.dirname(glob.glob("/usr/lib/*/qemu/accel-tcg-*.so")[0])
    with Guest("moira-linked", "-L", "/usr/share/qemu", "-L", "/usr/share/seabios", "-qmp",
               "unix:linked.qmp,server=on,wait=off", before=linker[:1],
               env=os.environ | {"QEMU_MODULE_DIR": modules}) as guest:
        expect("qemu" not in os.path.basename(guest_of(guest.pid)["program"]), guest_of(guest.pid))
        expect(name_by("moira-linked") == "moira-linked", "by name")


def a_huge_command_line_costs_little():
    fake = place("qemu-system-huge")
    shutil.copy(shutil.which("dash") or shutil.which("sh"), fake)
    words = ["-chardev", "socket,id=m,path=/x,server=on,wait=off", *["-mon", "m"] * 70_000]
    process = quiet([fake, "-c", "sleep 60; :", *words])
    try:
        wait_until(lambda: guest_of(process.pid), 10, "it runs")
        begin = time.monotonic()
        guests()
        expect(time.monotonic() - begin < 3, "it took too long")
    finally:
        process.kill()
        process.wait()


# Who is left alone.


def a_guest_that_waits_for_its_manager_is_left_alone():
    for name, options in (("moira-waits", ["-qmp", "unix:waits.qmp,server=on"]),
                          ("moira-line", ["-qmp", "unix:line.qmp,server=on,wait=off", "-serial",
                                          "unix:line.serial,server=on,wait=on"])):
        with Guest(name, *options) as guest:
            wait_until(lambda: guest_of(guest.pid)["waits_for"], 10, "it waits")
            for _ in range(3):
                seen = guest_of(guest.pid)
                expect(seen["waits_for"] and seen["state"] is None, seen)
            expect("waits for its manager" in vmplug("vms", json_output=False).stdout, "text")
            for verb in (["qmp", name, "query-status"], ["events", name], ["hmp", name, "info status"],
                         ["ports", name], ["attach", name, pci_device() or "0000:00:00.0", "--dry-run",
                                           "--state-dir", place("state")]):
                result = vmplug(*verb)
                codes = result.codes or [result.error.get("code")]
                expect(result.code == 3 and "monitor_unusable" in codes, (verb, result))
            expect(guest_of(guest.pid)["waits_for"], "it was set going")
    # A path that somebody writes is his own will.
    with Guest("moira-waits", "-qmp", "unix:waits.qmp,server=on") as guest:
        wait_until(lambda: guest_of(guest.pid)["waits_for"], 10, "it waits")
        expect(name_by(place("waits.qmp")) == "moira-waits", "by its path")
        wait_until(lambda: guest_of(guest.pid)["state"] == "prelaunch", 10, "it runs now")
        expect(name_by("moira-waits") == "moira-waits", "by its name")


# Who answers.


def each_network_has_its_own_address():
    options = ["-qmp", "tcp:127.0.0.1:47730,server=on,wait=off"]
    with Guest("moira-outside", *options) as outside, Guest("moira-inside", *options, before=IN_NETWORK) as inside:
        for guest in (outside, inside):
            expect(name_by(guest.name) == guest.name, guest.name)
            if pci_device():
                subject = dry_attach(guest.name).json["subject"]
                expect(subject["guest"] == guest.name and subject["guest_pid"] == str(guest.pid), subject)
    abstract = ["-chardev", "socket,id=m,path=moira.both,abstract=on,server=on,wait=off", "-mon", "m,mode=control"]
    with Guest("moira-outside", *abstract), Guest("moira-inside", *abstract, before=IN_NETWORK):
        for name in ("moira-outside", "moira-inside"):
            expect(name_by(name) == name, name)


def another_process_at_the_socket_is_not_taken_for_the_guest():
    with Guest("moira-true", "-qmp", "unix:true.qmp,server=on,wait=off") as guest, \
            Impostor(place("false.qmp"), GREETING):
        # The path leads to another socket, as it would where the kernel does not tell which file it is.
        subprocess.run(["mount", "--bind", place("false.qmp"), place("true.qmp")], check=True)
        try:
            for verb in (["qmp", "moira-true", "query-name"], ["events", "moira-true"], ["ports", str(guest.pid)]):
                result = vmplug(*verb)
                expect(result.code == 3 and result.error["code"] in ("vm_unproven", "monitor_unusable"), result)
                expect("impostor" not in result.stdout, result)
            if pci_device():
                result = dry_attach("moira-true")
                expect(result.code == 3 and result.codes[0] in ("vm_unproven", "monitor_unusable"), result)
        finally:
            subprocess.run(["umount", place("true.qmp")], check=True)
        expect(name_by("moira-true") == "moira-true", "the true one")


def a_guest_named_by_its_socket_is_who_answers_there():
    if not pci_device():
        return
    path = place("named.qmp")
    with Guest("moira-named", "-qmp", f"unix:{path},server=on,wait=off") as guest:
        # Says all that a QEMU would, and has nothing.
        rename = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'qemu-system-x'); time.sleep(60)"
        words = [sys.executable, "-c", rename, "-name", "moira-named", "-qmp", f"unix:{path},server=on,wait=off"]
        mention = quiet(words)
        try:
            wait_until(lambda: open(f"/proc/{mention.pid}/comm").read().startswith("qemu"), 10, "it is renamed")
            subject = dry_attach("qmp:" + path).json["subject"]
            expect(subject["guest_pid"] == str(guest.pid) and subject["guest"] == "moira-named", subject)
        finally:
            mention.kill()
            mention.wait()


def a_guest_is_called_what_its_process_is_called():
    """Whatever it answers to query-name."""
    if not pci_device():
        return
    with Impostor(place("liar.qmp"), GREETING):
        result = dry_attach("qmp:" + place("liar.qmp"))
        subject = result.json["subject"]
        expect(subject["guest"] == "qmp:" + place("liar.qmp") and subject["guest_pid"] == str(os.getpid()), subject)


def a_monitor_of_no_process_here_is_refused():
    """A QEMU of another host, as it would be behind a tunnel: here one in another network."""
    if not pci_device():
        return
    pair = f"moira{os.getpid() % 10000}"
    with Guest("moira-far", "-qmp", "tcp:0.0.0.0:47740,server=on,wait=off", before=IN_NETWORK) as guest:
        subprocess.run(["ip", "link", "add", pair, "type", "veth", "peer", "name", "far0", "netns", str(guest.pid)],
                       check=True)
        try:
            for words in ([["ip", "addr", "add", "169.254.77.1/30", "dev", pair], ["ip", "link", "set", pair, "up"]]):
                subprocess.run(words, check=True)
            inside = ["nsenter", "-t", str(guest.pid), "-n"]
            subprocess.run([*inside, "ip", "addr", "add", "169.254.77.2/30", "dev", "far0"], check=True)
            subprocess.run([*inside, "ip", "link", "set", "far0", "up"], check=True)
            address = "tcp:169.254.77.2:47740"
            wait_until(lambda: vmplug("qmp", address, "query-name").code == 0, 10, "it is reached")
            result = dry_attach(address)
            expect(result.code == 3 and result.codes[0] == "vm_unproven", result)
            result = dry_attach(address, "--force")
            expect("vm_unproven" not in result.codes, result)
        finally:
            subprocess.run(["ip", "link", "del", pair], check=False)


# Whose it is.


def a_guest_of_somebody_else_is_asked_for():
    shared = tempfile.mkdtemp(prefix="vmplug-shared.")
    os.chmod(shared, 0o777)
    path = os.path.join(shared, "web.qmp")
    device = pci_device() or "0000:00:00.0"

    def refused(vm, *options):
        result = vmplug("attach", vm, device, "--dry-run", "--state-dir", place("state"), *options)
        return "vm_foreign" in result.codes, result

    stranger = Guest("moira-whose", "-qmp", f"unix:{path},server=on,wait=off",
                     before=["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"])
    try:
        with stranger:
            seen = guest_of(stranger.pid)
            expect(seen["uid"] == NOBODY and seen["user"] == "nobody", seen)
            foreign, result = refused("moira-whose")
            expect(foreign and result.code == 3 and "nobody" in result.stdout, result)
            for allowed in (["--uid", "nobody"], ["--uid", str(NOBODY)]):
                expect(not refused("moira-whose", *allowed)[0], allowed)
            expect(not refused(str(stranger.pid))[0], "by its pid")
            expect(refused("moira-whose", "--uid", "root")[0], "another user than that")
            expect(vmplug("attach", "moira-whose", device, "--uid", "no-such-user").code == 2, "no such user")
            if pci_device():
                expect(refused("qmp:" + path)[0], "anybody could have listened there")
                expect(not refused("qmp:" + path, "--uid", "nobody")[0], "asked for")
            # Our own of that name is meant, whoever else has one.
            with Guest("moira-whose", "-qmp", "unix:ours.qmp,server=on,wait=off") as ours:
                expect(name_by("moira-whose") == "moira-whose" and not refused("moira-whose")[0], "ours")
                with Guest("moira-whose", "-qmp", "unix:ours2.qmp,server=on,wait=off") as second:
                    result = vmplug("qmp", "moira-whose", "query-name")
                    expect(result.error["code"] == "vm_ambiguous", result)
                    for each in (stranger, ours, second):
                        expect(f"pid {each.pid} of user " in result.error["text"], result)
    finally:
        shutil.rmtree(shared)


# What cannot be told.


def without_descriptors_no_guest_is_said_to_be_missing():
    with Guest("moira-few", "-qmp", "unix:few.qmp,server=on,wait=off"):
        seen = set()
        for limit in range(4, 16):
            result = vmplug("qmp", "moira-few", "query-name",
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
            expect(result.error.get("code") != "vm_not_found", (limit, result))
            seen.add(result.code)
        expect(0 in seen, "never enough")


def empty_names_are_no_names():
    quiet_guest = quiet([EMULATOR, *COMMON, "-qmp", f"unix:{place('unnamed.qmp')},server=on,wait=off"])
    try:
        wait_until(lambda: listens(quiet_guest.pid), 20, "it runs")
        device = pci_device() or "0000:00:00.0"
        for words in (["ports", ""], ["qmp", "", "query-status"], ["hmp", "", "info status"], ["events", ""],
                      ["attach", "", device, "--dry-run"], ["detach", "", "nic0"],
                      ["detach", "web", ""], ["attach", str(quiet_guest.pid), "", "--dry-run"]):
            result = vmplug(*words, "--state-dir", place("state"))
            codes = result.codes or [result.error.get("code")]
            expect(result.code in (2, 3) and codes == ["invalid_argument"], (words, result))
    finally:
        quiet_guest.kill()
        quiet_guest.wait()


def whoever_holds_a_monitor_is_named_and_not_to_be_ended():
    with Guest("moira-held", "-qmp", "unix:./held.qmp,server=on,wait=off") as guest, Qmp(place("held.qmp")):
        result = vmplug("qmp", "moira-held", "query-name")
        expect(result.error["code"] == "monitor_busy" and f"process {os.getpid()} " in result.error["text"], result)
        expect("end that" not in result.error["remedy"].lower(), result)
        expect(guest_of(guest.pid)["monitors"][0]["held_by"]["pid"] == os.getpid(), "vms")


run_tests([
    each_form_of_the_command_line_leads_to_the_socket,
    a_guest_that_has_left_its_directory_is_reached,
    a_guest_in_another_root_is_reached,
    a_path_longer_than_a_socket_address_is_reached,
    a_moved_socket_is_still_the_same_one,
    monitors_that_cannot_be_spoken_to_say_why,
    what_a_guest_connects_to_is_no_monitor,
    a_guest_is_found_once_and_nothing_else_is_one,
    a_start_script_that_keeps_the_socket_is_no_second_guest,
    an_emulator_under_another_name_is_a_guest,
    a_huge_command_line_costs_little,
    a_guest_that_waits_for_its_manager_is_left_alone,
    each_network_has_its_own_address,
    another_process_at_the_socket_is_not_taken_for_the_guest,
    a_guest_named_by_its_socket_is_who_answers_there,
    a_guest_is_called_what_its_process_is_called,
    a_monitor_of_no_process_here_is_refused,
    a_guest_of_somebody_else_is_asked_for,
    without_descriptors_no_guest_is_said_to_be_missing,
    empty_names_are_no_names,
    whoever_holds_a_monitor_is_named_and_not_to_be_ended,
])
