"""As packagers build: release, with another compiler, and without a warning.

tests/run itself builds with g++ for release and takes warnings for errors.
"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import expect, run_tests

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")


def syntax(entry):
    """What the compiler says of one file, without making code of it. Half of the time; clang warns as early."""
    words = shlex.split(entry["command"])
    words = words[next(i for i, each in enumerate(words) if os.path.basename(each).startswith("clang")):]
    output = words.index("-o")
    words = words[:output] + words[output + 2:] + ["-fsyntax-only"]
    words.remove("-c")
    result = subprocess.run(words, cwd=entry["directory"], capture_output=True, text=True, timeout=300)
    return entry["file"], result


def clang_finds_nothing():
    done = subprocess.run(["meson", "setup", "--buildtype=release", "-Dwerror=true", "-Dtests=disabled", work.name],
                          env=os.environ | {"CC": "clang", "CXX": "clang++"}, capture_output=True, text=True)
    expect(done.returncode == 0, done)
    with open(work.name + "/compile_commands.json") as file:
        entries = json.load(file)
    expect(len(entries) > 80, f"{len(entries)} files")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, result in pool.map(syntax, entries):
            expect(result.returncode == 0, f"{name}: {result.stderr}")


def warnings_stop_nobody_but_us():
    shown = subprocess.run(["meson", "introspect", "--buildoptions", "meson.build"], capture_output=True, text=True)
    options = {each["name"]: each["value"] for each in json.loads(shown.stdout)}
    expect(options["werror"] is False, options["werror"])


try:
    run_tests([clang_finds_nothing, warnings_stop_nobody_but_us])
finally:
    work.cleanup()
