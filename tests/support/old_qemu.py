"""QEMUs of long ago: doubles that speak the dialects in dialects/*.json over a real socket.

A double keeps what was sent to it word for word, looks at the host device's driver when it is asked for
a device_add, and lets a device go a while after device_del, as a guest does.
"""
import json
import os
import re
import socket
import threading
import time

from qapi_schema import Schema

DIALECTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dialects")
PROMPT = b"(qemu) "
# What QEMUs answer today and did not then: since 1.0 and 5.1.
LATER = {"query-status.status", "query-pci.devices.irq_pin"}


def names():
    return sorted(each[:-5] for each in os.listdir(DIALECTS) if each.endswith(".json"))


def echo_of(line):
    """What QEMU's line editor plays back: for each byte the cursor goes home and the line is drawn again."""
    return b"".join(b"\x1b[D" * typed + line[:typed + 1] + b"\x1b[K" for typed in range(len(line))) + b"\r\n"


class OldQemu:
    def __init__(self, name, path, fail=None, unplug_seconds=0.3):
        self.dialect = json.load(open(os.path.join(DIALECTS, name + ".json")))
        self.fail = self.dialect["failures"][fail] if fail else None
        self.unplug_seconds = unplug_seconds
        self.path = path
        self.address = f"{self.dialect['protocol']}:{path}"
        self.wire = []     # every line as it came
        self.drivers = []  # the host driver of each device_add's device at that moment
        self.devices = {}  # id: (host, when it leaves)
        self.schema = Schema(later=LATER)
        self.offences = []  # of answers that no QEMU gives
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        os.unlink(self.path)
        assert not self.offences, self.offences

    def sent(self, word):
        return [each for each in self.wire if word in each]

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            try:
                with connection:
                    (self.talk_hmp if self.dialect["protocol"] == "hmp" else self.talk_qmp)(connection)
            except OSError:
                pass

    # What the machine does.

    def add(self, properties):
        """Returns a failure, or None."""
        host = properties["host"]
        try:
            link = os.readlink(f"/sys/bus/pci/devices/0000:{host}/driver")
            self.drivers.append(os.path.basename(link))
        except OSError:
            self.drivers.append(None)
        if self.fail:
            return self.fail
        self.devices[properties["id"]] = [host, None]
        return None

    def delete(self, name):
        if name not in self.devices:
            return False
        if self.devices[name][1] is None:
            self.devices[name][1] = time.monotonic() + self.unplug_seconds
        return True

    def present(self):
        now = time.monotonic()
        self.devices = {name: each for name, each in self.devices.items() if each[1] is None or each[1] > now}
        return self.devices

    def drawn(self, form):
        devices = "".join(self.dialect["device"].format(type=self.dialect["type"], id=name, host=host)
                          for name, (host, _) in self.present().items())
        return form.replace("{devices}", devices)

    # HMP.

    def run_line(self, line):
        known = self.dialect["hmp"]
        if line == "info qtree" and self.dialect["tree"]:
            return self.drawn(self.dialect["tree"])
        if line == "info pci" and self.dialect.get("pci"):
            return self.drawn(self.dialect["pci"])
        if line in known:
            return known[line].replace("{version}", self.dialect["version"])
        if found := re.fullmatch(r"device_add ([^,?]+),(.*)", line):
            pairs = [each.split("=", 1) for each in found[2].split(",")]
            if any(len(each) != 2 for each in pairs):
                return "" if found[1] == self.dialect["type"] else f"Device \"{found[1]}\" not found.\n"
            failure = self.add(dict(pairs))
            return failure["text"] + "\n" if failure else ""
        if found := re.fullmatch(r"device_del (.*)", line):
            return "" if self.delete(found[1]) else f"Device '{found[1]}' not found\n"
        return "" if line.startswith("device_add") else self.dialect["unknown"].format(command=line) + "\n"

    def talk_hmp(self, connection):
        connection.sendall(self.dialect["banner"].encode() + b"\r\n" + PROMPT)
        for line in self.lines(connection):
            output = self.run_line(line).replace("\n", "\r\n")
            connection.sendall(echo_of(line.encode()) + output.encode() + PROMPT)

    def lines(self, connection):
        rest = b""
        while data := connection.recv(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.wire.append(line.decode())
                yield line.decode()

    # QMP.

    def qom(self, command, arguments):
        """QOM as far as it is asked for; None: it has none of that."""
        if not self.dialect.get("qom"):
            return None
        path = arguments.get("path", "")
        if command == "qom-list" and path == "/machine/peripheral":
            kind = f"child<{self.dialect['type']}>"
            return [{"name": name, "type": kind} for name in self.present()]
        if command == "qom-list":
            return []
        if command == "qom-get" and arguments.get("property") == "parent_bus":
            return "/machine/i440fx/pci.0"
        if command == "qom-get" and arguments.get("property") == "host":
            return self.present()[path.rsplit("/", 1)[1]][0]
        if command == "qom-get" and path == "/machine/i440fx/pci.0":
            return {"hotplug-handler": "/machine/unattached/device[18]", "acpi-pcihp-bsel": 0}.get(arguments["property"])
        if command == "qom-get" and path == "/machine" and "machine_type" in self.dialect:
            return self.dialect["machine_type"]
        return None

    def query_pci(self):
        return [{"bus": 0, "devices": [
            {"bus": 0, "slot": 4, "function": 0, "qdev_id": name, "class_info": {"class": 512},
             "id": {"vendor": 32902, "device": 4307},
             "regions": [{"bar": 0, "type": "memory", "address": 4060086272, "size": 131072}]}
            for name in self.present()]}]

    def answer(self, command, arguments):
        """(return, error)"""
        if command == "qmp_capabilities":
            return {}, None
        if command == "device_add":
            failure = self.add(arguments)
            return (None, failure["error"]) if failure else ({}, None)
        if command == "device_del":
            missing = {"class": "DeviceNotFound", "desc": f"Device '{arguments['id']}' not found"}
            return ({}, None) if self.delete(arguments["id"]) else (None, missing)
        if command == "human-monitor-command":
            return self.run_line(arguments["command-line"]).replace("\n", "\r\n"), None
        if command == "query-pci":
            return self.query_pci(), None
        if command == "device-list-properties" and arguments["typename"] in self.dialect.get("properties", {}):
            return self.dialect["properties"][arguments["typename"]], None
        found = self.qom(command, arguments)
        if found is None:
            found = self.dialect["qmp"].get(command)
        if found is not None:
            return found, None
        return None, json.loads(json.dumps(self.dialect["error"]).replace("{command}", command))

    def talk_qmp(self, connection):
        connection.sendall(json.dumps(self.dialect["greeting"]).encode() + b"\r\n")
        decoder, rest = json.JSONDecoder(), ""
        while data := connection.recv(65536):
            rest += data.decode()
            while rest := rest.lstrip():
                try:
                    request, end = decoder.raw_decode(rest)
                except ValueError:
                    break
                self.wire.append(rest[:end])
                rest = rest[end:]
                value, error = self.answer(request["execute"], request.get("arguments", {}))
                reply = {"error": error} if error else {"return": value}
                if not error and (offence := self.schema.offence(request["execute"], value)):
                    self.offences.append(offence)
                if "id" in request:
                    reply["id"] = request["id"]
                connection.sendall(json.dumps(reply).encode() + b"\r\n")
