"""The Debian packages: built, installed into a directory, used, and purged."""
import glob
import json
import os
import re
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
    return run("dpkg", f"--root={ROOT}", "--force-not-root", "--force-depends", "--force-script-chrootless",
               "--log=/dev/null", *arguments)


def files():
    return {os.path.join(directory, name)[len(ROOT):] for directory, _, names in os.walk(ROOT) for name in names
            if not directory.startswith(ROOT + "/var/lib/dpkg")}


def all_that_the_build_finds_is_asked_for():
    """Which Debian package each dependency came from; the list has it."""
    control = open("examples/debian/files/control").read()
    listed = re.findall(r"[a-z][a-z0-9.+-]+", re.search(r"Build-Depends:(.*?)\n\S", control, re.S)[1])
    run("meson", "setup", "-Dtests=disabled", work.name + "/build")
    found = json.loads(run("meson", "introspect", "--dependencies", work.name + "/build"))
    expect(len(found) >= 8, found)
    for each in found:
        # Boost is found without pkg-config, and threads are the C library's.
        file = run("pkg-config", "--variable=pcfiledir", each["name"]).strip() if each["name"] not in (
            "boost", "threads") else ""
        if file:
            owner = run("dpkg-query", "-S", f"{file}/{each['name']}.pc").split(":")[0]
            expect(owner in listed, f"{each['name']} is of {owner}, which is not among {listed}")


def they_are_built():
    # Unoptimised and without debugging symbols, which take half of the time and are no part of what is shown.
    run("examples/debian/build", OUT, timeout=900,
        env=os.environ | {"DEB_BUILD_OPTIONS": "noopt noautodbgsym", "DEB_CXXFLAGS_APPEND": "-g0"})
    expect(len(glob.glob(OUT + "/*.deb")) == 2, os.listdir(OUT))


def lintian_finds_nothing():
    shown = run("lintian", "--allow-root", "--fail-on", "error,warning", *glob.glob(OUT + "/*.changes"))
    expect(shown == "", shown)


def the_unit_for_the_boot_is_sound():
    directory = work.name + "/unit"
    run("dpkg-deb", "--extract", *glob.glob(OUT + "/vmplug_*.deb"), directory)
    unit = f"{directory}/lib/systemd/system/vmplug-recover.service"
    with open(unit) as file:
        text = file.read()
    with open(unit, "w") as file:
        file.write(text.replace("/usr/bin/vmplug", directory + "/usr/bin/vmplug"))
    shown = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    expect(shown.returncode == 0 and "vmplug" not in shown.stderr, shown)
    expect(text.count("recover\n") == 1 and "Before=libvirtd.service" in text, text)


def they_are_installed_and_purged_without_a_trace():
    os.makedirs(ROOT + "/var/lib/dpkg/info")
    open(ROOT + "/var/lib/dpkg/status", "w").close()
    before = files()
    dpkg("--install", *glob.glob(OUT + "/*.deb"))
    for path in ("/usr/bin/vmplug", "/usr/share/man/man1/vmplug.1.gz", "/usr/include/vmplug/controller.hpp",
                 "/usr/share/bash-completion/completions/vmplug", "/usr/share/zsh/vendor-completions/_vmplug",
                 "/usr/share/fish/vendor_completions.d/vmplug.fish",
                 "/etc/systemd/system/multi-user.target.wants/vmplug-recover.service"):
        expect(path in files(), path)
    expect(run(ROOT + "/usr/bin/vmplug", "--version").startswith("vmplug "), "--version")
    expect("vmplug" in dpkg("--list"), "not installed")
    dpkg("--purge", "vmplug", "libvmplug-dev")
    expect(files() == before, files() - before)


try:
    run_tests([all_that_the_build_finds_is_asked_for, they_are_built, lintian_finds_nothing,
               the_unit_for_the_boot_is_sound, they_are_installed_and_purged_without_a_trace])
finally:
    work.cleanup()
