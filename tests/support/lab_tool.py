"""What tests of the command line share: running vmplug, guests, monitors, and reporting as TAP."""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback

BUILD = os.path.join(os.getcwd(), os.environ.get("VMPLUG_BUILD_DIR", "build"))
VMPLUG = os.path.join(BUILD, "src/cli/vmplug")
GUEST_RUN = "/run/vmplug-lab"


class Result:
    def __init__(self, process):
        self.code = process.returncode
        self.stdout = process.stdout
        self.stderr = process.stderr
        try:
            self.json = json.loads(process.stdout)
        except ValueError:
            self.json = None

    @property
    def error(self):
        return (self.json or {}).get("error") or {}

    @property
    def codes(self):
        return [each["code"] for each in (self.json or {}).get("refusals", [])]

    def __repr__(self):
        return f"exit {self.code}\n{self.stdout}\n{self.stderr}"


def vmplug(*arguments, json_output=True, seconds=120, **options):
    command = [VMPLUG, *arguments] + (["--json"] if json_output else [])
    return Result(subprocess.run(command, capture_output=True, text=True, timeout=seconds, **options))


def start_vmplug(*arguments):
    return subprocess.Popen([VMPLUG, *arguments, "--json"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(process, seconds=120):
    stdout, stderr = process.communicate(timeout=seconds)
    process.stdout, process.stderr = stdout, stderr
    return Result(process)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, f"after {seconds} s still not: {what}")
        time.sleep(0.02)


class Qmp:
    """An independent little QMP client: the tests do not check vmplug with itself."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.file = self.socket.makefile("r")
        self.file.readline()
        self.call("qmp_capabilities")

    def call(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        for line in self.file:
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                return answer.get("return", answer.get("error"))
        raise EOFError

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def too_long(*_):
    raise AssertionError("the case takes too long")


def run_tests(tests, before=lambda: None, after_failure=lambda: [], seconds_max=0):
    """Runs functions in order; prints TAP. A failed one does not keep the others from running: `after_failure`
    puts the world in order again and returns lines about it. seconds_max: for each; 0: as long as it takes."""
    wanted = sys.argv[1:]
    tests = [each for each in tests if not wanted or any(word in each.__name__ for word in wanted)]
    signal.signal(signal.SIGALRM, too_long)
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        begin = time.monotonic()
        name = test.__name__.replace("_", " ")
        before()
        try:
            signal.alarm(seconds_max)
            test()
            signal.alarm(0)
            print(f"ok {number} - {name} # {time.monotonic() - begin:.1f} s", flush=True)
        except Exception:
            signal.alarm(0)
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print("# " + line, flush=True)
            for line in after_failure():
                print("# " + line, flush=True)
    sys.exit(1 if failed else 0)
