"""Whether the QEMU of this machine has the schema that was recorded, as far as vmplug's commands and events need it."""
import json
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../support"), os.path.join(HERE, "../../protocol/qapi/golden")]
import record
from lab_tool import expect, run_tests

PROGRAM = os.environ.get("VMPLUG_QEMU", "qemu-system-x86_64")


def recorded(version):
    with open(os.path.join(record.HERE, version, "schema.jsonl")) as file:
        return [json.loads(line) for line in file]


def versions():
    return sorted((each for each in os.listdir(record.HERE) if os.path.isdir(os.path.join(record.HERE, each, ""))
                   and os.path.exists(os.path.join(record.HERE, each, "schema.jsonl"))),
                  key=lambda version: [int(part) for part in version.split(".")])


def nearest(version):
    """The version itself, or the last one recorded before it, or else the first."""
    number = [int(part) for part in version.split(".")]
    older = [each for each in versions() if [int(part) for part in each.split(".")] <= number]
    return older[-1] if older else versions()[0]


def differences(was, now):
    """One line for each entity that is not as it was."""
    was, now = ({each["name"]: each for each in entities} for entities in (was, now))
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            yield f"{name}: {record.compact(now.get(name))}, was {record.compact(was.get(name))}"


def the_schema_of_this_QEMU_is_the_recorded_one():
    version, live = record.read_schema(PROGRAM)
    known = nearest(version)
    found = list(differences(recorded(known), live))
    expect(not found, "\n".join([f"QEMU {version} is not as {known} was recorded; see what that means for "
                                 "protocol/qapi, then: protocol/qapi/golden/record.py", *found]))


def every_command_and_event_is_in_each_recorded_schema():
    for version in versions():
        names = {each["name"] for each in recorded(version)}
        missing = [each for each in record.COMMANDS + record.EVENTS if each not in names]
        expect(not missing, f"{version} lacks {missing}")


def a_difference_is_seen():
    entities = recorded(versions()[0])
    changed = [dict(each, features=["deprecated"]) if each["name"] == "device_add" else each for each in entities
               if each["name"] != "UNPLUG_PRIMARY"]
    expect([line.split(":")[0] for line in differences(entities, changed)] == ["UNPLUG_PRIMARY", "device_add"],
           "a changed command and a missing event")


run_tests([the_schema_of_this_QEMU_is_the_recorded_one, every_command_and_event_is_in_each_recorded_schema,
           a_difference_is_seen])
