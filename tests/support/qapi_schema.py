"""Holds what doubles of QEMU answer against the schema that real ones have: protocol/qapi/golden."""
import json
import os
import re

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../protocol/qapi/golden")
JSON_TYPES = {"string": str, "int": int, "number": (int, float), "boolean": bool, "null": type(None)}


class Schema:
    """`offence` says where an answer offends it, or nothing. `later`: members that came after the double's QEMU,
    as "query-pci.devices.irq_pin"."""

    def __init__(self, version="7.2", later=()):
        with open(os.path.join(GOLDEN, version, "schema.jsonl")) as file:
            self.entities = {each["name"]: each for each in map(json.loads, file)}
        self.later = later

    def offence(self, command, answer):
        if self.entities.get(command, {}).get("meta-type") != "command":
            return f"there is no command {command}"
        return self.of_type(self.entities[command]["ret-type"], answer, command)

    def of_type(self, name, value, way):
        entity = self.entities[name]
        return getattr(self, "of_" + entity["meta-type"])(entity, value, way)

    def of_builtin(self, entity, value, way):
        kind = entity["json-type"]
        is_bool = isinstance(value, bool)
        if kind == "value" or isinstance(value, JSON_TYPES[kind]) and (kind == "boolean" or not is_bool):
            return None
        return f"{way} is no {kind}"

    def of_enum(self, entity, value, way):
        return None if value in entity["values"] else f"{way} is none of its values: {value}"

    def of_array(self, entity, value, way):
        if not isinstance(value, list):
            return f"{way} is no array"
        return next(filter(None, (self.of_type(entity["element-type"], each, f"{way}[{number}]")
                                  for number, each in enumerate(value))), None)

    def of_alternate(self, entity, value, way):
        if any(self.of_type(each["type"], value, way) is None for each in entity["members"]):
            return None
        return f"{way} is none of its alternatives"

    def of_object(self, entity, value, way):
        if not isinstance(value, dict):
            return f"{way} is no object"
        members = {each["name"]: each for each in entity["members"]}
        for each in entity.get("variants", []):
            if each["case"] == value.get(entity["tag"]):
                members |= {more["name"]: more for more in self.entities[each["type"]]["members"]}
        for name, member in members.items():
            if name in value:
                if found := self.of_type(member["type"], value[name], f"{way}.{name}"):
                    return found
            elif "default" not in member and re.sub(r"\[\d+\]", "", f"{way}.{name}") not in self.later:
                return f"{way} lacks {name}"
        return next((f"{way} has no member {name}" for name in value if name not in members), None)
