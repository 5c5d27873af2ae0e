"""The Debian packages: built, installed into a directory, used, and purged."""
import glob
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import expect, run_tests

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")
OUT, ROOT = work.name + "/out", work.name + "/root"


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    expect(result.returncode == 0, result)
    return result.stdout


def dpkg(*arguments):
    """In a directory of its own, where what they depend on is not installed."""
    return run("dpkg", f"--root={ROOT}", "--force-not-root", "--force-depends", "--log=/dev/null", *arguments)


def files():
    return {os.path.join(directory, name)[len(ROOT):] for directory, _, names in os.walk(ROOT) for name in names
            if not directory.startswith(ROOT + "/var/lib/dpkg")}


def they_are_built():
    # Unoptimised and without debugging symbols, which take half of the time and are no part of what is shown.
    run("examples/debian/build", OUT, timeout=900,
        env=os.environ | {"DEB_BUILD_OPTIONS": "noopt noautodbgsym", "DEB_CXXFLAGS_APPEND": "-g0"})
    expect(len(glob.glob(OUT + "/*.deb")) == 2, os.listdir(OUT))


def they_are_installed_and_purged_without_a_trace():
    os.makedirs(ROOT + "/var/lib/dpkg/info")
    open(ROOT + "/var/lib/dpkg/status", "w").close()
    before = files()
    dpkg("--install", *glob.glob(OUT + "/*.deb"))
    for path in ("/usr/bin/vmplug", "/usr/share/man/man1/vmplug.1.gz", "/usr/include/vmplug/controller.hpp",
                 "/usr/share/bash-completion/completions/vmplug", "/usr/share/zsh/vendor-completions/_vmplug",
                 "/usr/share/fish/vendor_completions.d/vmplug.fish"):
        expect(path in files(), path)
    expect(run(ROOT + "/usr/bin/vmplug", "--version").startswith("vmplug "), "--version")
    expect("vmplug" in dpkg("--list"), "not installed")
    dpkg("--purge", "vmplug", "libvmplug-dev")
    expect(files() == before, files() - before)


try:
    run_tests([they_are_built, they_are_installed_and_purged_without_a_trace])
finally:
    work.cleanup()
