#!/usr/bin/env python3
"""Records what real QEMUs answer to the commands that vmplug sends, and the part of their schema that
those and the events need: protocol/qapi/golden/VERSION/{q35,pc,schema}.jsonl.

    protocol/qapi/golden/record.py [QEMU...]

Each is a qemu-system-x86_64; without one it is that of this machine. No guest program runs in them.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
COMMANDS = ["device-list-properties", "device_add", "device_del", "human-monitor-command", "qmp_capabilities",
            "qom-get", "qom-list", "query-commands", "query-memory-size-summary", "query-migrate", "query-name",
            "query-pci", "query-qmp-schema", "query-status"]
# What the recording itself sends beside them.
DRIVING = ["cont", "quit", "stop", "system_reset"]
EVENTS = ["ACPI_DEVICE_OST", "DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR", "RESET", "RESUME", "SHUTDOWN", "STOP",
          "UNPLUG_PRIMARY"]
PORT = "pcie-root-port"
MACHINES = {
    "q35": ["-machine", "q35",
            "-device", PORT + ",id=rp0,chassis=1,slot=1", "-device", PORT + ",id=rp1,chassis=2,slot=2",
            "-device", PORT + ",id=rp2,chassis=3,slot=3,hotplug=off", "-device", PORT + ",chassis=4,slot=4",
            "-device", "e1000e,id=nic0,bus=rp0"],
    "pc": ["-machine", "pc", "-device", "pci-bridge,id=br1,chassis_nr=1", "-device", "e1000,id=nic0,bus=pci.0"],
}
MODEL = {"q35": ("e1000e", "rp1"), "pc": ("e1000", "pci.0")}
EVENT_SECONDS_MAX = 20


def compact(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


class Qemu:
    """One that is recorded: each message that went and came, one per line."""

    def __init__(self, program, *options):
        self.lines = []
        self.events = []
        self.directory = tempfile.TemporaryDirectory(prefix="vmplug-record.")
        path = os.path.join(self.directory.name, "qmp")
        self.process = subprocess.Popen(
            [program, "-accel", "tcg", "-m", "32", "-nodefaults", "-no-user-config", "-display", "none", "-S",
             "-name", "golden", "-qmp", f"unix:{path},server=on,wait=off", *options], stdin=subprocess.DEVNULL)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(EVENT_SECONDS_MAX)
        end = time.monotonic() + EVENT_SECONDS_MAX
        while self.socket.connect_ex(path) != 0:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{program} does not listen")
            time.sleep(0.02)
        self.file = self.socket.makefile("r")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.file.close()
        self.socket.close()
        self.directory.cleanup()

    def receive(self):
        message = json.loads(next(self.file))
        if "timestamp" in message:
            message["timestamp"] = {"seconds": 1700000000, "microseconds": len(self.lines)}
        self.lines.append(compact({"received": message}))
        if "event" in message:
            self.events.append(message["event"])
        return message

    def call(self, command, **arguments):
        message = {"execute": command, "id": len(self.lines)}
        if arguments:
            message["arguments"] = {key.replace("_", "-") if command != "device_add" else key: value
                                    for key, value in arguments.items()}
        self.lines.append(compact({"sent": message}))
        self.socket.sendall(compact(message).encode())
        answer = self.receive()
        while "event" in answer:
            answer = self.receive()
        return answer.get("return")

    def await_event(self, name):
        while name not in self.events:
            self.receive()


def survey(qemu):
    """What src/guest asks of a guest."""
    for command in ("query-name", "query-status", "query-migrate", "query-memory-size-summary", "query-pci"):
        qemu.call(command)
    for name in ("type", "iommu"):
        qemu.call("qom-get", path="/machine", property=name)
    devices = [f"/machine/{place}/{each['name']}" for place in ("peripheral", "peripheral-anon")
               for each in qemu.call("qom-list", path="/machine/" + place) if each["type"].startswith("child<")]
    tree = qemu.call("human-monitor-command", command_line="info qom-tree")
    for name in ("vfio-pci", "kvm-pci-assign"):
        qemu.call("device-list-properties", typename=name)
    for device in devices:
        qemu.call("qom-get", path=device, property="parent_bus")
        qemu.call("qom-get", path=device, property="addr")
    for bus in buses_in(tree):
        bridge = bus.rsplit("/", 1)[0]
        if bridge not in devices:
            qemu.call("qom-get", path=bridge, property="parent_bus")
        qemu.call("qom-get", path=bus, property="hotplug-handler")
        qemu.call("qom-get", path=bus, property="acpi-pcihp-bsel")
        qemu.call("qom-get", path=bridge, property="hotplug")


def buses_in(tree):
    path, found = [], []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, kind = line.strip().rsplit(" ", 1)
        path[depth:] = [name.lstrip("/")]
        if kind in ("(PCI)", "(PCIE)"):
            found.append("/" + "/".join(path))
    return found


def record_machine(program, machine):
    driver, bus = MODEL[machine]
    with Qemu(program, *MACHINES[machine]) as qemu:
        qemu.receive()
        qemu.call("qmp_capabilities")
        survey(qemu)
        qemu.call("query-commands")
        qemu.call("device_add", driver=driver, id="nic1", bus=bus)
        qemu.call("device_add", driver=driver, id="nic1", bus=bus)
        qemu.call("device_add", driver=driver, id="nic2", bus="no-such-bus")
        qemu.call("device_add", driver=driver, id="nic2", bus=bus, no_such_property=1)
        qemu.call("device_del", id="nothing")
        qemu.call("device_del", id="nic1")
        qemu.call("device_del", id="nic1")
        qemu.call("qom-list", path="/machine/peripheral")
        qemu.call("query-pci")
        qemu.call("cont")
        qemu.call("stop")
        qemu.call("query-status")
        # It completes what the guest that is none would not.
        qemu.call("system_reset")
        qemu.await_event("DEVICE_DELETED")
        qemu.call("qom-list", path="/machine/peripheral")
        qemu.call("no-such-command")
        qemu.call("quit")
        qemu.await_event("SHUTDOWN")
        return qemu.lines


# The schema.


def reduce_schema(entities, wanted):
    """What the wanted need, in the order in which it is reached. QEMU numbers its types anew in each build: here
    each is called by the way to it."""
    known = {each["name"]: each for each in entities}
    names, made = {}, []

    def is_numbered(name):
        return name.strip("[]").isdigit()

    def reach(name, way):
        if name in names:
            return names[name]
        names[name] = way if is_numbered(name) else name
        entity = dict(known[name], name=names[name])
        made.append(entity)
        for key in ("arg-type", "ret-type", "element-type"):
            if key in entity:
                entity[key] = reach(entity[key], way + {"arg-type": ".arguments", "ret-type": ".return",
                                                        "element-type": ".each"}[key])
        if entity["meta-type"] in ("object", "alternate"):
            entity["members"] = [dict(each, type=reach(each["type"], f"{way}.{each.get('name', number)}"))
                                 for number, each in enumerate(entity["members"])]
        if "variants" in entity:
            entity["variants"] = [dict(each, type=reach(each["type"], f"{way}.{each['case']}"))
                                  for each in entity["variants"]]
        return names[name]

    for name in wanted:
        if name in known:
            reach(name, name)
    return made


def read_schema(program):
    """Returns the version and the part of the schema that vmplug needs."""
    with Qemu(program, "-machine", "none") as qemu:
        version = qemu.receive()["QMP"]["version"]["qemu"]
        qemu.call("qmp_capabilities")
        entities = qemu.call("query-qmp-schema")
    return f"{version['major']}.{version['minor']}", reduce_schema(entities, COMMANDS + DRIVING + EVENTS)


def write(version, name, lines):
    os.makedirs(os.path.join(HERE, version), exist_ok=True)
    with open(os.path.join(HERE, version, name + ".jsonl"), "w") as file:
        file.writelines(line + "\n" for line in lines)


def main():
    for program in sys.argv[1:] or ["qemu-system-x86_64"]:
        version, entities = read_schema(program)
        write(version, "schema", map(compact, entities))
        for machine in MACHINES:
            write(version, machine, record_machine(program, machine))


if __name__ == "__main__":
    main()
