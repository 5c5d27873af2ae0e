"""The main job on a real kernel, IOMMU, QEMU and guest. Runs inside of the lab's virtual host."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *
from terminal import Terminal

def a_nic_goes_to_the_guest_works_there_and_comes_back():
    before, _ = home(FIRST)
    result = attached("web", FIRST, "--id", "nic0", "--wait-guest", "20s")
    expect(result.json["steps"][-1]["findings"] == {"guest": "configured"}, result)
    expect(driver(FIRST) == "vfio-pci", "not on vfio-pci")
    traffic = guest("run", "web", "until ifconfig eth0 up; do sleep 0.2; done; "
                    "udhcpc -q -n -i eth0 -s /etc/dhcp && ping -c 2 10.0.2.2 && cat /sys/class/net/eth0/address")
    expect(traffic.returncode == 0 and "2 packets received" in traffic.stdout, traffic)
    listed = vmplug("list").json["assignments"]
    expect([each["id"] for each in listed] == ["nic0"], listed)
    detached("web", "nic0", "--timeout", "30s")
    expect(guest("run", "web", "test ! -e /sys/class/net/eth0").returncode == 0, "eth0 is still there")
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
    expect(before["override"] == "(null)", before)
    expect(vmplug("list").json["assignments"] == [], "still listed")


def a_driver_override_of_its_own_comes_back_too():
    with open(f"{DEVICES}{SECOND}/driver_override", "w") as override:
        override.write("e1000e\n")
    before, _ = home(SECOND)
    attached("web", SECOND, "--id", "kept", "--wait-guest", "0s")
    detached("web", "kept", "--timeout", "30s")
    expect(home(SECOND)[0] == before and before["override"] == "e1000e", home(SECOND)[0])
    with open(f"{DEVICES}{SECOND}/driver_override", "w") as override:
        override.write("\n")


def refusals_touch_nothing():
    refused("device_not_found", "attach", "web", "7a:00.0")
    refused("invalid_argument", "attach", "web", "01:20.0")
    refused("device_is_bridge", "attach", "web", BRIDGE)
    refused("device_critical", "attach", "web", HOST_NIC, device=None)
    refused("group_not_viable", "attach", "web", LEFT, device=LEFT)
    refused("model_unavailable", "attach", "web", FIRST, "--driver", "pci-assign")
    refused("duplicate_id", "attach", "web", FIRST, "--id", "rp0")
    refused("port_unusable", "attach", "web", FIRST, "--port", "pcie.0")
    refused("port_unusable", "attach", "web", FIRST, "--port", "nothing")
    refused("invalid_argument", "attach", "web", FIRST, "--id", 'x","bus":"rp1')
    refused("invalid_argument", "attach", "web", FIRST, "--id", "a;reboot")
    refused("property_unknown", "attach", "web", FIRST, "--set", "no-such=1")
    refused("property_unknown", "attach", "web", FIRST, "--set", "rombar=many")
    refused("vm_not_found", "attach", "nosuch", FIRST)
    refused("no_monitor", "attach", "qmp:/run/nosuch.qmp", FIRST)
    refused("not_attached", "detach", "web", "nic0")
    refused("journal_unavailable", "attach", "web", FIRST, "--state-dir", "/proc/nothing")


def a_full_guest_is_refused():
    with Qmp(qmp_path("web")) as qmp:
        for port in ("rp0", "rp1"):
            qmp.call("device_add", driver="e1000e", id="in-" + port, bus=port)
    refused("no_free_port", "attach", "web", FIRST)
    refused("port_unusable", "attach", "web", FIRST, "--port", "rp1")
    with Qmp(qmp_path("web")) as qmp:
        def empty():
            for port in ("rp0", "rp1"):
                qmp.call("device_del", id="in-" + port)
            names = [each["name"] for each in qmp.call("qom-list", path="/machine/peripheral")]
            time.sleep(0.5)
            return not any(name.startswith("in-") for name in names)
        wait_until(empty, 60, "both ports empty")


def a_busy_monitor_names_its_holder():
    with all_monitors_held("web"):
        result = refused("monitor_busy", "attach", "web", FIRST)
        expect(str(os.getpid()) in result.error["text"], result)


def a_qemu_without_a_monitor_is_refused():
    mute = subprocess.Popen(["qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-m", "16",
                             "-name", "guest=mute"])
    try:
        wait_until(lambda: "mute" in [each["name"] for each in vmplug("vms").json["guests"]], 30, "mute runs")
        refused("no_monitor", "attach", "mute", FIRST)
    finally:
        mute.kill()
        mute.wait()


def neighbours_go_along_with_the_group():
    before = home(LEFT)[0], home(RIGHT)[0]
    attached("web", LEFT, "--id", "left", "--with-group", "--wait-guest", "0s")
    expect((driver(LEFT), driver(RIGHT)) == ("vfio-pci", "vfio-pci"), "the group is not on vfio-pci")
    refused("device_assigned", "attach", "db", RIGHT, device=RIGHT)
    refused("device_assigned", "attach", "db", LEFT, device=LEFT)
    attached("web", RIGHT, "--id", "right", "--wait-guest", "0s")
    expect(sorted(guest_devices("web")) == ["left", "right"], guest_devices("web"))
    detached("web", "left", "--timeout", "30s")
    expect((driver(LEFT), driver(RIGHT)) == ("vfio-pci", "vfio-pci"), "the group left while it is in use")
    detached("web", "right", "--timeout", "30s")
    expect((home(LEFT)[0], home(RIGHT)[0]) == before, f"{home(LEFT)} {home(RIGHT)} instead of {before}")


def what_qemu_refuses_is_rolled_back():
    for properties in (["--set", "romfile=/nonexistent"], ["--set", "display=on"]):
        before, _ = home(FIRST)
        result = vmplug("attach", "web", FIRST, "--id", "bad", *properties)
        expect(result.code == 4 and result.json["outcome"] == "rolled_back", result)
        expect(result.error["code"] == "command_failed", result)
        expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
        expect(guest_devices("web") == [], guest_devices("web"))


def a_paused_guest_keeps_the_device_until_it_runs():
    before, _ = home(FIRST)
    configured("web", FIRST, "--id", "nic0")
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("stop")
    result = vmplug("detach", "web", "nic0", "--timeout", "2s")
    expect(result.code == 5 and result.json["outcome"] == "unplug_pending", result)
    expect(driver(FIRST) == "vfio-pci" and guest_devices("web") == ["nic0"], "the device was taken away")
    refused("device_assigned", "attach", "db", FIRST)
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("cont")
    wait_until(lambda: guest_devices("web") == [], 30, "the guest lets go")
    result = vmplug("recover")
    expect(result.code == 0 and len(result.json["operations"]) == 1, result)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
    expect(vmplug("recover").json["operations"] == [], "a second recover found something")


def a_second_detach_goes_on_with_a_pending_one():
    before, _ = home(FIRST)
    configured("web", FIRST, "--id", "nic0")
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("stop")
    for key in ("first", "second", "second"):
        result = vmplug("detach", "web", "nic0", "--timeout", "500ms", "--request-id", key)
        expect(result.code == 5, f"not pending: {result}")
    with Qmp(qmp_path("web")) as qmp:
        qmp.call("cont")
    operation = detached("web", "nic0", "--timeout", "30s").json["operation"]
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
    for key in ("first", "second"):
        result = detached("web", "nic0", "--request-id", key)
        expect(result.json["repeated"] and result.json["operation"] == operation, result)


def two_devices_to_two_guests_at_once():
    before = home(FIRST)[0], home(SECOND)[0]
    runs = [start_vmplug("attach", "web", FIRST, "--id", "one", "--wait-guest", "0s"),
            start_vmplug("attach", "db", SECOND, "--id", "two", "--wait-guest", "0s")]
    results = [finish(each) for each in runs]
    expect([each.code for each in results] == [0, 0], results)
    runs = [start_vmplug("detach", "web", "one", "--timeout", "40s"),
            start_vmplug("detach", "db", "two", "--timeout", "40s")]
    results = [finish(each) for each in runs]
    expect([each.code for each in results] == [0, 0], results)
    expect((home(FIRST)[0], home(SECOND)[0]) == before, "not as before")


def one_device_to_two_guests_at_once():
    runs = [start_vmplug("attach", name, FIRST, "--id", "one", "--wait-guest", "0s") for name in ("web", "db")]
    pids = [each.pid for each in runs]
    results = [finish(each) for each in runs]
    expect(sorted(each.code for each in results) == [0, 3], results)
    loser = 0 if results[0].code == 3 else 1
    expect(results[loser].error["code"] in ("device_busy", "device_assigned"), results[loser])
    holder = str(pids[1 - loser]) if results[loser].error["code"] == "device_busy" else ("db", "web")[loser]
    expect(holder in results[loser].error["text"], results[loser])
    detached(("db", "web")[loser], "one", "--timeout", "40s")


def two_devices_to_one_guest_take_different_ports():
    before = home(FIRST)[0], home(SECOND)[0]
    runs = [start_vmplug("attach", "web", device, "--id", name, "--wait-guest", "0s")
            for device, name in ((FIRST, "one"), (SECOND, "two"))]
    results = [finish(each) for each in runs]
    expect([each.code for each in results] == [0, 0], results)
    expect({each.json["subject"]["port"] for each in results} == {"rp0", "rp1"}, results)
    # The kernel would give the first that comes back the lowest name, which is the other one's.
    for name in ("two", "one"):
        detached("web", name, "--timeout", "40s")
    after = home(FIRST)[0], home(SECOND)[0]
    expect(after == before, f"{after} instead of {before}")


def the_same_request_key_attaches_once():
    first = attached("web", FIRST, "--id", "one", "--request-id", "key-1", "--wait-guest", "0s")
    again = attached("web", FIRST, "--id", "one", "--request-id", "key-1", "--wait-guest", "0s")
    expect(again.json["repeated"] and again.json["operation"] == first.json["operation"], again)
    # The key of a request is not an answer to another one.
    refused("invalid_argument", "attach", "db", FIRST, "--id", "one", "--request-id", "key-1")
    refused("invalid_argument", "attach", "web", FIRST, "--id", "two", "--request-id", "key-1")
    refused("invalid_argument", "detach", "web", "one", "--request-id", "key-1")
    detached("web", "one", "--timeout", "40s")


def bound_and_released_without_a_guest():
    before, index = home(FIRST)
    for chosen in ("vfio-pci", "pci-stub"):
        result = vmplug("bind", FIRST, "--driver", chosen)
        expect(result.code == 0 and driver(FIRST) == chosen, result)
        listed = vmplug("list").json["assignments"]
        expect([each["device"] for each in listed] == ["0000:" + FIRST], listed)
        refused("device_assigned", "bind", FIRST)
        result = vmplug("release", FIRST)
        expect(result.code == 0 and home(FIRST)[0] == before, f"{home(FIRST)} {result}")
    refused("not_attached", "release", FIRST)


def rename(netdev, name):
    done = subprocess.run(["ip", "link", "set", "dev", netdev, "name", name], capture_output=True, text=True)
    expect(done.returncode == 0, done)


def a_name_that_somebody_took_meanwhile_is_left_to_them():
    before, _ = home(FIRST)
    attached("web", FIRST, "--id", "one", "--wait-guest", "0s")
    neighbour = home(LEFT)[0]["netdev"]
    rename(neighbour, before["netdev"])
    result = vmplug("detach", "web", "one", "--timeout", "40s", json_output=False)
    name = home(FIRST)[0]["netdev"]
    expect(result.code == 0 and name not in (before["netdev"], None), result)
    expect(f"called {name} now, and was {before['netdev']}" in result.stdout, result)
    # The kernel may have given it the neighbour's name.
    rename(before["netdev"], "spare")
    rename(name, before["netdev"])
    rename("spare", neighbour)
    expect(home(FIRST)[0] == before and vmplug("recover").code == 0, home(FIRST))


def what_is_assigned_is_drawn_and_watched():
    with Terminal("list", "--watch", rows=24) as watching:
        watching.until("no device.\r\n")
        attached("web", FIRST, "--id", "one", "--wait-guest", "0s")
        # The line that was there is overwritten.
        watching.until("\x1b[1A\r\x1b[J", 20)
        watching.until("assigned")
        drawn = vmplug("devices", "--tree", json_output=False, env=os.environ | {"LC_ALL": "C.UTF-8"}).stdout
        first, left = f"group {group(FIRST)}", f"group {group(LEFT)}"
        expect(f"│  └─ 01:00.0  vfio-pci  {first}  -> guest web as one" in drawn, drawn)
        expect(f"┌─ {left} ─" in drawn and drawn.count(left) == 1, drawn)
        expect("├─ 04:01.0  e1000  eth3  only with its group" in drawn, drawn)
        detached("web", "one", "--timeout", "40s")
        watching.until("no device.\r\n", 20)
        watching.type("\x03")
        expect(watching.end() == 0, "Ctrl-C")


def the_prompt_attaches_shows_events_and_undoes_at_control_c():
    before, _ = home(FIRST)
    with Terminal("repl", "web", XDG_STATE_HOME="/run/xdg", NO_COLOR="1") as prompt:
        prompt.until("web> ")
        prompt.type(f"attach {FIRST} --id one --wait-guest 0s\r")
        # Which step of how many, and for how long so far.
        prompt.until("add it to the guest", 30)
        prompt.until("(1 s)", 30)
        prompt.until("done: attach", 60)
        prompt.until("web> ")
        prompt.type("detach one --timeout 60s\r")
        prompt.until("web: DEVICE_DELETED", 60)
        prompt.until("done: detach", 60)
        prompt.until("web> ")
        expect(home(FIRST)[0] == before, home(FIRST))
        prompt.type(f"attach {FIRST} --id two --wait-guest 60s\r")
        prompt.until("add it to the guest", 30)
        prompt.type("\x03")
        prompt.until("rolled_back: attach", 90)
        prompt.until("web> ")
        expect(home(FIRST)[0] == before and guest_devices("web") == [], home(FIRST))
        prompt.type("recover\r")
        prompt.until("Nothing is unfinished")
        prompt.until("web> ")
        prompt.type("quit\r")
        expect(prompt.end() == 0, "quit")


def detached_but_kept_bound():
    before, _ = home(FIRST)
    attached("web", FIRST, "--id", "one", "--wait-guest", "0s")
    detached("web", "one", "--keep-bound", "--timeout", "40s")
    expect(driver(FIRST) == "vfio-pci" and guest_devices("web") == [], driver(FIRST))
    result = vmplug("release", FIRST)
    expect(result.code == 0 and home(FIRST)[0] == before, f"{home(FIRST)} {result}")


def an_interrupt_undoes_what_was_done():
    before, _ = home(FIRST)
    run = start_vmplug("attach", "web", FIRST, "--id", "one", "--wait-guest", "30s")
    wait_until(lambda: driver(FIRST) == "vfio-pci", 30, "bound")
    run.send_signal(signal.SIGINT)
    result = finish(run)
    expect(result.code == 4 and result.error["code"] == "cancelled", result)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


def a_killed_vmplug_is_recovered_from():
    before, _ = home(FIRST)
    run = start_vmplug("attach", "web", FIRST, "--id", "one", "--wait-guest", "0s")
    wait_until(lambda: driver(FIRST) == "vfio-pci", 30, "bound")
    run.kill()
    run.communicate()
    refused("operation_conflict", "attach", "db", FIRST)
    result = vmplug("recover")
    expect(result.code == 0, result)
    ended = result.json["operations"][0]["outcome"]
    if ended == "done":
        expect(guest_devices("web") == ["one"], guest_devices("web"))
        detached("web", "one", "--timeout", "40s")
    expect(ended in ("done", "rolled_back"), result)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")


def a_qemu_that_dies_meanwhile_leaves_the_host_as_it_was():
    before, _ = home(FIRST)
    run = start_vmplug("attach", "db", FIRST, "--id", "one", "--wait-guest", "0s")
    wait_until(lambda: driver(FIRST) == "vfio-pci", 30, "bound")
    pid = int(guest("pid", "db").stdout)
    os.kill(pid, 9)
    result = finish(run)
    expect(result.code == 4 and result.json["outcome"] == "rolled_back", result)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
    guest("stop", "db")


def a_dead_guest_gives_its_device_back():
    before, _ = home(FIRST)
    attached("web", FIRST, "--id", "one", "--wait-guest", "0s", "--request-id", "before its end")
    guest("stop", "web")
    expect([each["state"] for each in vmplug("list").json["assignments"]] == ["guest_gone"], "not gone")
    result = vmplug("recover")
    expect(result.code == 0 and len(result.json["operations"]) == 1, result)
    expect(home(FIRST)[0] == before, f"{home(FIRST)[0]} instead of {before}")
    # What was done stays done, although nothing of it can be looked up any more.
    result = attached("web", FIRST, "--id", "one", "--wait-guest", "0s", "--request-id", "before its end")
    expect(result.json["repeated"], result)


def the_cost_beside_kernel_and_qemu_is_small():
    operations = [each for each in vmplug("operations", "--limit", "100").json["operations"]
                  if each["kind"] == "attach" and each["outcome"] == "done"]
    costs = []
    for each in operations:
        steps = sum(step["duration_us"] for step in each["steps"])
        costs.append((each["ended_us"] - each["started_us"] - steps) / 1000)
    print(f"# attach beside its steps, from the first record to the last, in this emulated host: "
          f"median {sorted(costs)[len(costs) // 2]:.1f} ms of {len(costs)} runs", flush=True)
    expect(len(costs) >= 5, costs)


def nothing_is_left_behind():
    for device in (FIRST, SECOND):
        expect(home(device)[0]["driver"] == "e1000e" and home(device)[0]["override"] == "(null)", home(device))
    for device in (LEFT, RIGHT):
        expect(home(device)[0]["driver"] == "e1000" and home(device)[0]["override"] == "(null)", home(device))
    expect(os.listdir("/dev/vfio") == ["vfio"], os.listdir("/dev/vfio"))
    expect(vmplug("list").json["assignments"] == [], "assignments are left")
    left = subprocess.run(["pgrep", "vmplug"], capture_output=True, text=True).stdout
    expect(left == "", left)


start_guests("web", "db")
run_tests([
    a_nic_goes_to_the_guest_works_there_and_comes_back,
    a_driver_override_of_its_own_comes_back_too,
    refusals_touch_nothing,
    a_full_guest_is_refused,
    a_busy_monitor_names_its_holder,
    a_qemu_without_a_monitor_is_refused,
    neighbours_go_along_with_the_group,
    what_qemu_refuses_is_rolled_back,
    a_paused_guest_keeps_the_device_until_it_runs,
    a_second_detach_goes_on_with_a_pending_one,
    two_devices_to_two_guests_at_once,
    one_device_to_two_guests_at_once,
    two_devices_to_one_guest_take_different_ports,
    the_same_request_key_attaches_once,
    bound_and_released_without_a_guest,
    a_name_that_somebody_took_meanwhile_is_left_to_them,
    what_is_assigned_is_drawn_and_watched,
    the_prompt_attaches_shows_events_and_undoes_at_control_c,
    detached_but_kept_bound,
    an_interrupt_undoes_what_was_done,
    a_killed_vmplug_is_recovered_from,
    a_qemu_that_dies_meanwhile_leaves_the_host_as_it_was,
    a_dead_guest_gives_its_device_back,
    the_cost_beside_kernel_and_qemu_is_small,
    nothing_is_left_behind,
])
