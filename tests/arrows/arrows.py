"""The layers' arrows: which layer may include what. A new arrow is a decision, made here."""
import graphlib
import os
import re
import sys

# The rooms of src/command, for those who show what they make.
COMMAND = {"command/complete", "command/handle", "command/render", "command/table", "command/text",
           "command/typing"}

# layer: (other layers of ours, outside libraries)
ARROWS = {
    "include/vmplug": (set(), {"boost/system", "boost/asio", "nlohmann/json_fwd.hpp"}),
    "protocol/qmp": (set(), {"nlohmann"}),
    "protocol/hmp": (set(), set()),
    "protocol/qapi": ({"qmp"}, {"nlohmann"}),
    "src/value": (set(), set()),
    "src/port": (set(), {"boost/asio", "netlink"}),
    "src/host": ({"port"}, {"nlohmann"}),
    "src/guest": ({"qapi"}, {"nlohmann"}),
    "src/judge": (set(), set()),
    "src/plan": ({"judge", "qapi", "step"}, set()),
    "src/journal": ({"port"}, {"nlohmann", "sqlite3.h"}),
    "src/monitor": ({"hmp", "port", "qapi", "qmp"}, {"boost/asio", "boost/system", "nlohmann"}),
    "src/step": ({"port"}, {"boost/asio", "nlohmann"}),
    "src/engine": ({"judge", "plan", "port", "step"}, {"boost/asio"}),
    "src/linux": ({"engine", "guest", "hmp", "host", "journal", "monitor", "port", "qapi"},
                  {"boost/asio", "nlohmann"}),
    "src/controller": ({"engine", "host", "journal", "linux"}, {"boost/asio"}),
    "src/command/text": (set(), {"nlohmann"}),
    "src/command/table": (set(), {"nlohmann"}),
    "src/command/typing": ({"monitor", "plan", "qapi"}, {"boost/asio", "nlohmann"}),
    "src/command/render": ({"command/table", "command/text"}, {"nlohmann", "pci/"}),
    "src/command/handle": ({"command/render", "command/table", "command/text", "command/typing", "controller",
                            "judge", "plan", "port", "qmp"}, {"boost/asio", "nlohmann"}),
    "src/command/complete": ({"command/render", "command/table", "command/text", "controller"},
                             {"boost/asio"}),
    "src/repl": ({*COMMAND, "monitor", "qapi", "qmp"}, {"boost/asio", "boost/system", "nlohmann"}),
    "src/cli": ({*COMMAND, "repl"}, {"boost/asio", "boost/system", "spdlog/", "nlohmann"}),
}
# Public headers that may show Asio to their reader.
WITH_ASIO = {"monitor.hpp", "hmp_monitor.hpp", "controller.hpp"}
OUTSIDE = {"boost/asio", "boost/system", "nlohmann", "netlink", "sqlite3.h", "pci/", "spdlog/"}
# As they stand in an #include, a room before the folder that it is in.
NAMES = sorted((re.sub("^(src|protocol)/", "", layer) for layer in ARROWS), key=len, reverse=True)


def includes(path):
    with open(path) as file:
        for line in file:
            if found := re.match(r'\s*#include\s+([<"])([^>"]+)[>"]', line):
                yield found[1] == '"', found[2]


def wrong(layer, path):
    ours, outside = ARROWS[layer]
    name = re.sub("^(src|protocol)/", "", layer)
    for quoted, included in includes(path):
        of = next((each for each in NAMES if included.startswith(each + "/")), included)
        if quoted and of != name and of not in ours:
            yield included
        library = next((each for each in OUTSIDE if included.startswith(each)), None)
        if not quoted and library and not any(included.startswith(each) for each in outside):
            yield included
        if layer == "include/vmplug" and included.startswith("boost/asio") \
                and os.path.basename(path) not in WITH_ASIO:
            yield included


# What has no command line under it: verbs and options are named by src/command and those above it alone.
EDGE = ("src/command", "src/repl", "src/cli")


def command_line_words():
    """A verb or an option of the command line, as it stands in a text."""
    with open("src/command/table/verbs.cpp") as file:
        options = sorted(set(re.findall(r'"(?:-\w,)?(--[a-z-]+)"', file.read())), key=len, reverse=True)
    return re.compile(r"`vmplug |VMPLUG_|(?<![\w-])(?:" + "|".join(options) + r")(?![\w-])")


def texts(path):
    with open(path) as file:
        for number, line in enumerate(file, 1):
            code = re.sub(r"^\s*//.*|\s//.*", "", line)
            # modprobe has a --dry-run of its own.
            if "#include" not in code and "modprobe" not in code:
                yield from ((number, text) for text in re.findall(r'"((?:[^"\\]|\\.)*)"', code))


def cycle():
    try:
        graphlib.TopologicalSorter({re.sub("^(src|protocol)/", "", layer): ours
                                    for layer, (ours, _) in ARROWS.items()}).prepare()
    except graphlib.CycleError as found:
        yield "a circle of arrows: " + " <- ".join(found.args[1])


def main():
    failures, files = list(cycle()), 0
    words = command_line_words()
    known = {os.path.normpath(layer) for layer in ARROWS}
    for top in ("include/vmplug", "protocol", "src"):
        for directory, _, names in os.walk(top):
            layer = next((each for each in known if (directory + "/").startswith(each + "/")), None)
            for name in names:
                if not name.endswith((".hpp", ".cpp")):
                    continue
                files += 1
                path = os.path.join(directory, name)
                if layer is None:
                    failures.append(f"{path}: belongs to no layer")
                    continue
                failures += [f"{path}: includes {each}" for each in wrong(layer, path)]
                if not layer.startswith(EDGE):
                    failures += [f"{path}:{number}: has a word of the command line: {text}"
                                 for number, text in texts(path) if words.search(text)]
    for layer in known:
        if not os.path.exists(os.path.join(layer, "README.md")) and not layer.startswith(("include", "src/value")):
            failures.append(f"{layer}: has no README.md")
    print("\n".join(failures) or f"{files} files keep to their arrows")
    return 1 if failures or files < 50 else 0


sys.exit(main())
