"""What takes a hot-add: `vmplug ports` beside what real QEMUs answer to device_add, bus by bus."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import Qmp, expect, run_tests, vmplug, wait_until

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")
PC = "qemu-system-x86_64"
ARM = ["-cpu", "cortex-a57"]
ROOT_PORT = ["-device", "pcie-root-port,id=rp0,chassis=1,slot=1"]


class Qemu:
    def __init__(self, program, *arguments):
        if not shutil.which(program):
            raise AssertionError(f"{program} is not installed")
        self.socket = os.path.join(work.name, str(len(os.listdir(work.name))))
        with open(self.socket + ".log", "w") as log:
            self.process = subprocess.Popen(
                [program, "-S", "-nodefaults", "-no-user-config", "-display", "none", "-m", "256",
                 "-qmp", f"unix:{self.socket},server=on,wait=off",
                 "-monitor", f"unix:{self.socket}.hmp,server=on,wait=off", *arguments], stderr=log)
        wait_until(self.answers, 30, f"{program} runs: {open(self.socket + '.log').read()}")

    def answers(self):
        expect(self.process.poll() is None, open(self.socket + ".log").read())
        try:
            Qmp(self.socket).close()
            return True
        except OSError:
            return False

    def ports(self, human=False):
        result = vmplug("ports", f"hmp:{self.socket}.hmp" if human else "qmp:" + self.socket)
        expect(result.code == 0, result)
        return result.json["ports"]

    def port(self, bus):
        found = [each for each in self.ports() if each["bus"] == bus]
        expect(len(found) == 1, f"{bus} {self.ports()}")
        return found[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def pci_buses(qmp):
    """The names of all PCI buses, from another view than the one that is tested."""
    types = [each["name"] for each in qmp.call("qom-list-types", implements="PCI", abstract=False)]
    lines = qmp.call("human-monitor-command", **{"command-line": "info qtree"}).split("\n")
    return sorted(line.split("bus: ")[1].strip() for line, below in zip(lines, lines[1:])
                  if "bus: " in line and below.strip().removeprefix("type ") in types)


def add(qmp, number, port):
    """What QEMU says to a device on the port, as vmplug would ask for it: '' or its words."""
    arguments = {"driver": "virtio-net-pci", "id": f"new{number}", "bus": port["bus"]}
    if port["slot"]:
        arguments["addr"] = port["slot"]
    answer = qmp.call("device_add", **arguments)
    if "desc" in answer:
        return answer["desc"]
    place = qmp.call("qom-get", path=f"/machine/peripheral/new{number}", property="parent_bus")
    return "" if place.endswith("/" + port["bus"]) else f"it is on {place}"


def compare(program, *arguments, free):
    with Qemu(program, *arguments) as qemu:
        ports = qemu.ports()
        with Qmp(qemu.socket) as qmp:
            expect(len(pci_buses(qmp)) == len(ports), f"{pci_buses(qmp)} {ports}")
            answers = [add(qmp, i, port) for i, port in enumerate(ports)
                       if port["free"] or not port["occupants"]]
        offered = [port for port in ports if port["free"] or not port["occupants"]]
        for port, answer in zip(offered, answers):
            expect(port["free"] == (answer == ""), f"{port}: {answer}")
        expect(sorted(each["bus"] for each in ports if each["free"]) == sorted(free), ports)


def the_buses_of_q35():
    compare(PC, "-machine", "q35", *ROOT_PORT,
            "-device", "pcie-root-port,chassis=2,slot=2",
            "-device", "pcie-root-port,chassis=12,slot=12",
            "-device", "pcie-root-port,id=rp3,chassis=3,slot=3,hotplug=off",
            "-device", "pcie-root-port,id=rp4,chassis=4,slot=4", "-device", "e1000e,bus=rp4,id=nic",
            "-device", "pcie-pci-bridge,id=br1", "-device", "pci-bridge,id=br2,chassis_nr=9,bus=br1",
            "-device", "i82801b11-bridge,id=dmi", "-device", "ioh3420,id=ioh,chassis=8",
            "-device", "pcie-root-port,id=sw,chassis=10,slot=10", "-device", "x3130-upstream,id=up,bus=sw",
            "-device", "xio3130-downstream,id=down,bus=up,chassis=9",
            "-device", "pxb-pcie,id=px,bus_nr=20", "-device", "pcie-root-port,id=far,chassis=7,bus=px",
            # A second port without an id has a bus that only it is called by.
            free=["rp0", "br1", "br2", "dmi", "ioh", "down", "far", "pcie.1"])


def an_older_q35_whose_bridge_has_a_controller_of_its_own():
    compare(PC, "-machine", "pc-q35-6.0", *ROOT_PORT, "-device", "pcie-pci-bridge,id=br1",
            free=["rp0", "br1"])
    with Qemu(PC, "-machine", "pc-q35-6.0", "-device", "pcie-pci-bridge,id=br1",
              "-device", "e1000,bus=br1,addr=1", "-device", "e1000,bus=br1,addr=2.1") as qemu:
        expect(qemu.port("br1")["slot"] == "0x3", qemu.ports())


def the_buses_of_i440fx():
    compare(PC, "-machine", "pc", free=["pci.0"])
    compare(PC, "-machine", "pc", "-device", "pci-bridge,id=br1,chassis_nr=9", "-device", "pxb,id=px,bus_nr=20",
            free=["pci.0", "br1"])
    compare(PC, "-machine", "pc", "-global", "PIIX4_PM.acpi-root-pci-hotplug=off",
            "-device", "pci-bridge,id=br1,chassis_nr=9", free=["br1"])
    compare(PC, "-machine", "pc", "-global", "PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off",
            "-device", "pci-bridge,id=br1,chassis_nr=9", free=["pci.0", "br1"])
    compare(PC, "-machine", "pc,acpi=off", free=[])


def machines_of_other_kinds():
    compare(PC, "-machine", "q35,cxl=on", "-device", "pxb-cxl,bus_nr=12,id=cxl",
            "-device", "cxl-rp,port=0,bus=cxl,id=far,chassis=0,slot=2", free=["far"])
    compare(PC, "-machine", "microvm,pcie=on", free=[])
    compare(PC, "-machine", "none", free=[])
    compare("qemu-system-ppc64", "-machine", "pseries", "-device", "spapr-pci-host-bridge,index=1,id=phb1",
            "-device", "pci-bridge,id=br1,chassis_nr=3,bus=pci.0", free=["pci.0", "phb1.0", "br1"])
    compare("qemu-system-aarch64", "-machine", "virt", *ARM, *ROOT_PORT, "-device", "pcie-pci-bridge,id=br1",
            "-device", "pxb-pcie,id=px,bus_nr=20", "-device", "pcie-root-port,id=far,chassis=7,bus=px",
            free=["rp0", "br1", "far"])


def a_full_bus_is_not_free():
    built_in = [0, 1]
    taken = [f"e1000,bus=pci.0,addr={slot:x}" for slot in range(32) if slot not in built_in]
    for left in (taken[:-1], taken):
        options = [word for each in left for word in ("-device", each)]
        compare(PC, "-machine", "pc", *options, free=["pci.0"] if left != taken else [])
    with Qemu(PC, "-machine", "pc", *[word for each in taken for word in ("-device", each)]) as qemu:
        expect(qemu.port("pci.0")["why_not"] == "" and not qemu.port("pci.0")["free"], qemu.ports())
        expect("full" in vmplug("ports", "qmp:" + qemu.socket, json_output=False).stdout, "not said")
    # Function 0 of the slot that QEMU would take is free, and something else of it is not.
    compare(PC, "-machine", "pc", "-device", "e1000,addr=2.1", free=["pci.0"])


def a_human_monitor_tells_the_same():
    for options in (["-machine", "pc,acpi=off"],
                    ["-machine", "pc", "-global", "PIIX4_PM.acpi-root-pci-hotplug=off",
                     "-device", "pci-bridge,id=br1,chassis_nr=9"],
                    ["-machine", "pc", "-device", "e1000,addr=2.1,id=odd"],
                    ["-machine", "pc", *[word for slot in range(2, 32) for word in
                                         ("-device", f"e1000,id=e{slot},addr={slot:x}")]],
                    ["-machine", "pc-q35-6.0", "-device", "pcie-pci-bridge,id=br1", *ROOT_PORT],
                    ["-machine", "q35", "-device", "pcie-root-port,id=rp0,chassis=1,hotplug=off"]):
        with Qemu(PC, *options) as qemu:
            over_qmp, over_hmp = qemu.ports(), qemu.ports(human=True)
            for each in over_qmp + over_hmp:
                each.pop("type") # the machine's is known roughly over HMP
                each["occupants"].sort()
            expect(over_qmp == over_hmp, f"{over_qmp}\n{over_hmp}")


def bridges_that_were_added_live_are_seen():
    with Qemu("qemu-system-ppc64", "-machine", "pseries") as qemu:
        with Qmp(qemu.socket) as qmp:
            qmp.call("device_add", driver="spapr-pci-host-bridge", index=2, id="late")
        expect(qemu.port("late.0")["free"], qemu.ports())


def modules(qemu):
    """The modules of its own that a QEMU has loaded."""
    with open(f"/proc/{qemu.process.pid}/maps") as maps:
        return sorted({line.split()[-1] for line in maps if "/qemu/" in line and line.rstrip().endswith(".so")})


def no_look_makes_qemu_load_its_modules():
    """After an upgrade under running guests they are those of another build, which end some QEMUs."""
    with Qemu(PC, "-machine", "q35", *ROOT_PORT) as qemu:
        before = modules(qemu)
        for address in ("qmp:" + qemu.socket, f"hmp:{qemu.socket}.hmp"):
            for command in ("ports", "cmdline"):
                vmplug(command, address)
        vmplug("check", "qmp:" + qemu.socket, "00:00.0")
        expect(modules(qemu) == before, f"{before} {modules(qemu)}")
        with Qmp(qemu.socket) as qmp:
            qmp.call("qom-list-types", implements="device")
        expect(modules(qemu) != before, "it has no modules: this test shows nothing")


def a_port_without_hot_plug_is_not_free_whoever_handles_it():
    off = ["-device", "pcie-root-port,id=off,chassis=5,slot=5,hotplug=off"]
    compare(PC, "-machine", "q35", "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off", *ROOT_PORT, *off,
            free=["rp0"])
    compare("qemu-system-aarch64", "-machine", "virt", *ARM, *ROOT_PORT, *off, free=["rp0"])
    compare(PC, "-machine", "q35", "-device", "pxb-pcie,id=px,bus_nr=20",
            "-device", "pcie-root-port,id=far,chassis=7,bus=px,hotplug=off", free=[])


def a_guest_of_many_devices_is_seen_whole():
    ports = [word for i in range(20) for word in ("-device", f"pcie-root-port,id=rp{i},chassis={i + 1},slot={i + 1}",
                                                  "-device", f"virtio-rng-pci,id=dev-{i}-nic,bus=rp{i}")]
    serial = [word for i in range(800) for word in
              ("-device", f"virtserialport,id=port{i},bus=vs{i // 400}.0,nr={i % 400 + 1}")]
    with Qemu(PC, "-machine", "q35", *ports, "-device", "virtio-serial-pci,id=vs0,max_ports=511",
              "-device", "virtio-serial-pci,id=vs1,max_ports=511", *serial) as qemu:
        for human in (False, True):
            found = {each["bus"]: each["occupants"] for each in qemu.ports(human) if each["bus"].startswith("rp")}
            expect(found == {f"rp{i}": [f"dev-{i}-nic"] for i in range(20)}, found)


def two_buses_of_one_name_are_told_apart():
    """A port may be called as the root bus is."""
    with Qemu(PC, "-machine", "q35", "-device", "pcie-root-port,id=pcie.0,chassis=1", *ROOT_PORT) as qemu:
        ports = qemu.ports()
        expect([each["bus"] for each in ports if each["free"]] == ["rp0"], ports)


if __name__ == "__main__":
    run_tests([
        the_buses_of_q35,
        an_older_q35_whose_bridge_has_a_controller_of_its_own,
        the_buses_of_i440fx,
        machines_of_other_kinds,
        a_full_bus_is_not_free,
        a_human_monitor_tells_the_same,
        bridges_that_were_added_live_are_seen,
        a_port_without_hot_plug_is_not_free_whoever_handles_it,
        a_guest_of_many_devices_is_seen_whole,
        no_look_makes_qemu_load_its_modules,
        two_buses_of_one_name_are_told_apart,
    ])
