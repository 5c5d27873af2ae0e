"""The guide of 2010 on the real kernel: HMP, pci-assign through pci-stub, new_id, and QEMUs of long ago.

Runs inside of the lab's virtual host. The old QEMUs are doubles (support/old_qemu.py); the kernel, its
drivers, and the QEMU of today behind its human monitor are real.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *
from old_qemu import OldQemu, names

HMP = f"hmp:{GUEST_RUN}/old.hmp"
PCI_BRIDGE = "03:00.0"


def write(path, text):
    """One system call. Returns whether the kernel took it."""
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, text.encode())
        return True
    except OSError:
        return False
    finally:
        os.close(file)


def knows_the_ids(driver_name):
    """Only a driver that was told ids can forget them."""
    return write(f"/sys/bus/pci/drivers/{driver_name}/remove_id", "8086 10d3")


def the_main_job_over_nothing_but_a_human_monitor():
    before, _ = home(FIRST)
    result = attached(HMP, FIRST, "--id", "mydevice", "--wait-guest", "20s")
    expect(result.json["steps"][-1]["findings"] == {"guest": "configured"}, result)
    expect("bus=" not in str(result.json["steps"]) and driver(FIRST) == "vfio-pci", result)
    traffic = guest("run", "old", "until ifconfig eth0 up; do sleep 0.2; done; "
                    "udhcpc -q -n -i eth0 -s /etc/dhcp && ping -c 2 10.0.2.2")
    expect(traffic.returncode == 0 and "2 packets received" in traffic.stdout, traffic)
    ports = {each["bus"]: each for each in vmplug("ports", HMP).json["ports"]}
    expect("mydevice" in ports["pci.0"]["occupants"], ports)
    listed = vmplug("list").json["assignments"]
    expect([each["id"] for each in listed] == ["mydevice"], listed)
    refused("duplicate_id", "attach", HMP, SECOND, "--id", "mydevice", device=SECOND)
    detached(HMP, "mydevice", "--timeout", "30s")
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
    refused("model_unavailable", "attach", HMP, FIRST, "--driver", "pci-assign")


def what_qemu_refuses_over_hmp_is_rolled_back():
    before, _ = home(FIRST)
    result = vmplug("attach", HMP, FIRST, "--id", "mydevice", "--set", "romfile=/nosuch,file")
    expect(result.code == 4 and "nosuch,file" in result.error["text"], result)
    result = vmplug("attach", HMP, FIRST, "--id", "mydevice", "--set", "no-such=1")
    expect(result.code == 3 and "property_unknown" in result.codes, result)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


def both_ways_of_binding_leave_the_twin_alone():
    before, twin = home(FIRST)[0], home(SECOND)
    expect(open(f"{DEVICES}{FIRST}/device").read() == open(f"{DEVICES}{SECOND}/device").read(), "no twins")
    for way in ("override", "new_id"):
        for chosen in ("pci-stub", "vfio-pci"):
            result = vmplug("bind", FIRST, "--driver", chosen, "--binding", way)
            expect(result.code == 0 and driver(FIRST) == chosen, result)
            expect(home(SECOND) == twin, f"the twin was touched: {home(SECOND)}")
            override = open(f"{DEVICES}{FIRST}/driver_override").read().strip()
            expect(override == (chosen if way == "override" else "(null)"), override)
            expect(not knows_the_ids(chosen), f"{chosen} still knows the ids")
            result = vmplug("release", FIRST)
            expect(result.code == 0 and home(FIRST)[0] == before, f"{home(FIRST)[0]} {result}")


def an_unbound_twin_is_a_reason_against_new_id():
    expect(write("/sys/bus/pci/drivers/e1000e/unbind", "0000:" + SECOND), "unbind")
    try:
        refused("twin_unbound", "bind", FIRST, "--driver", "pci-stub", "--binding", "new_id")
        result = vmplug("bind", FIRST, "--driver", "pci-stub")
        expect(result.code == 0 and driver(SECOND) is None, result)
        expect(vmplug("release", FIRST).code == 0 and driver(SECOND) is None, driver(SECOND))
    finally:
        expect(write("/sys/bus/pci/drivers/e1000e/bind", "0000:" + SECOND), "bind")


def a_killed_bind_by_new_id_is_undone():
    before, twin = home(FIRST)[0], home(SECOND)
    finished = 0
    for boundary in range(1, 9):
        # Each write to sysfs is a child: dying before the n-th is dying between two of them.
        subprocess.run(["strace", "-o", "/dev/null", "-e", "trace=clone,clone3,fork,vfork", "-e",
                        f"inject=clone,clone3,fork,vfork:signal=KILL:when={boundary}", VMPLUG, "bind", FIRST,
                        "--driver", "pci-stub", "--binding", "new_id"], capture_output=True, timeout=60)
        expect(vmplug("recover").code == 0, "recover")
        if driver(FIRST) == "pci-stub":
            finished += 1
            expect(vmplug("release", FIRST).code == 0, "release")
        expect(home(FIRST)[0] == before, f"{boundary}: {home(FIRST)[0]} instead of {before}")
        expect(home(SECOND) == twin, f"{boundary}: the twin was touched: {home(SECOND)}")
        expect(not knows_the_ids("pci-stub"), f"{boundary}: pci-stub still knows the ids")
    # The last ones come after its end; the first have to be in the middle.
    expect(0 < finished < 6, f"{finished} of 8 had ended")


def attached_and_detached_on_each_old_qemu():
    before, _ = home(FIRST)
    for name in names():
        with OldQemu(name, "/run/old.sock") as old:
            result = attached(old.address, FIRST, "--id", "mydevice")
            expect(result.json["outcome"] == "done" and driver(FIRST) == "pci-stub", result)
            expect(old.drivers == ["pci-stub"], f"{name}: {old.drivers} at device_add")
            (sent,) = old.sent("host=" if old.address.startswith("hmp") else '"device_add"')
            if old.address.startswith("hmp"):
                expect(sent == "device_add pci-assign,host=01:00.0,id=mydevice", f"{name}: {sent}")
            else:
                expect(sent.startswith('{"execute":"device_add","arguments":{"driver":"pci-assign",'
                                       '"host":"01:00.0","id":"mydevice"}'), f"{name}: {sent}")
            if name != "qemu-kvm-0.11":  # It shows no host address.
                refused("device_assigned", "attach", old.address, FIRST, device=FIRST)
            result = detached(old.address, "mydevice", "--timeout", "10s")
            expect(home(FIRST)[0] == before, f"{name}: {home(FIRST)[0]} instead of {before}")
            print(f"# {name}: {len(old.wire)} lines on the wire", flush=True)


def the_guides_own_way_on_an_old_qemu():
    before, twin = home(FIRST)[0], home(SECOND)
    with OldQemu("qemu-kvm-0.12", "/run/old.sock") as old:
        attached(old.address, FIRST, "--id", "mydevice", "--binding", "new_id")
        expect(old.drivers == ["pci-stub"] and home(SECOND) == twin, home(SECOND))
        detached(old.address, "mydevice", "--timeout", "10s")
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


def each_refusal_of_an_old_qemu_is_recognised_and_rolled_back():
    before, _ = home(FIRST)
    seen = 0
    for name in names():
        with OldQemu(name, "/run/old.sock") as probe:
            failures = probe.dialect["failures"]
        for fail, expected in failures.items():
            with OldQemu(name, "/run/old.sock", fail=fail) as old:
                result = vmplug("attach", old.address, FIRST, "--id", "mydevice")
                expect(result.code == 4 and result.error["code"] == expected["code"], f"{name} {fail}: {result}")
                words = expected.get("text") or expected["error"]["desc"]
                expect(words.split("\n")[0] in result.error["text"] and result.error["remedy"], result)
                expect(old.drivers == ["pci-stub"] and home(FIRST)[0] == before, f"{name} {fail}: {home(FIRST)}")
                seen += 1
    print(f"# {seen} refusals", flush=True)
    expect(seen >= 8, seen)


def a_guest_that_keeps_the_device_is_pending_on_an_old_qemu():
    with OldQemu("qemu-kvm-0.12", "/run/old.sock", unplug_seconds=6) as old:
        attached(old.address, FIRST, "--id", "mydevice")
        result = vmplug("detach", old.address, "mydevice", "--timeout", "1s")
        expect(result.code == 5 and driver(FIRST) == "pci-stub", result)
        looks = len(old.sent("info qtree"))
        detached(old.address, "mydevice", "--timeout", "20s")
        expect(driver(FIRST) == "e1000e", driver(FIRST))
        expect(looks < 60, f"{looks} looks")


def check_names_what_goes_together():
    result = vmplug("check", LEFT)
    rows = {}
    for each in result.json["checks"]:
        rows.setdefault(each["check"], []).append(each)
    bridge = rows["bridge"][0]
    expect(RIGHT in bridge["evidence"] and "together" in bridge["evidence"], bridge)
    expect(PCI_BRIDGE in bridge["evidence"] and bridge["remedy"], bridge)
    expect("interrupts" in rows and "pci-stub" in rows and "kvm" in rows, rows.keys())
    express = [each for each in vmplug("check", FIRST).json["checks"] if each["check"] == "bridge"]
    expect(express[0]["state"] == "ok", express)


def the_arguments_of_a_cold_start_are_taken_by_qemu():
    result = vmplug("cmdline", "--new", FIRST)
    words = result.json["arguments"]
    expect(words[0] == "-device" and f"host={FIRST}" in words[3], words)
    expect(vmplug("bind", FIRST).code == 0, "bind")
    try:
        qemu = subprocess.run(["timeout", "60", "qemu-system-x86_64", "-machine", "q35", "-S", "-m", "64", "-nodefaults",
                               "-display", "none", "-monitor", "stdio", *words], input="info qtree\nquit\n",
                              capture_output=True, text=True)
        expect(qemu.returncode == 0 and "vfio-pci" in qemu.stdout and "port2" in qemu.stdout, qemu)
    finally:
        expect(vmplug("release", FIRST).code == 0, "release")
    words = vmplug("cmdline", "--new", "--machine", "pc", "--driver", "pci-assign", FIRST).json["arguments"]
    expect(words == ["-device", f"pci-assign,host={FIRST},id=host-0000-01-00.0"], words)


def nothing_is_left_behind():
    for device in (FIRST, SECOND):
        expect(home(device)[0]["driver"] == "e1000e" and home(device)[0]["override"] == "(null)", home(device))
    expect(vmplug("list").json["assignments"] == [], "assignments are left")


start_guests("old")
run_tests([
    the_main_job_over_nothing_but_a_human_monitor,
    what_qemu_refuses_over_hmp_is_rolled_back,
    both_ways_of_binding_leave_the_twin_alone,
    an_unbound_twin_is_a_reason_against_new_id,
    a_killed_bind_by_new_id_is_undone,
    attached_and_detached_on_each_old_qemu,
    the_guides_own_way_on_an_old_qemu,
    each_refusal_of_an_old_qemu_is_recognised_and_rolled_back,
    a_guest_that_keeps_the_device_is_pending_on_an_old_qemu,
    check_names_what_goes_together,
    the_arguments_of_a_cold_start_are_taken_by_qemu,
    nothing_is_left_behind,
])
