"""The layers' arrows. What a layer may use is the `dependencies:` of its library in meson.build: its #includes
have to be the same, and the sentence "May use ..." of its README. A new arrow is a decision, made there."""
import graphlib
import os
import re
import sys

# Public headers are values, which everybody may use, but for these: what they declare is done by a layer.
DONE_BY = {"monitor.hpp": "monitor", "hmp_monitor.hpp": "monitor", "step.hpp": "step", "controller.hpp": "controller"}
# Public headers that may show Asio to their reader.
WITH_ASIO = {"monitor.hpp", "hmp_monitor.hpp", "controller.hpp"}

# A library as it is linked, as it is included (its headers begin so), and as a README calls it.
OUTSIDE = {
    "json": (("nlohmann/",), "nlohmann/json"),
    "fmt": (("fmt/",), "fmt"),
    # All that is linked for Asio.
    "threads": (("boost/asio", "boost/system", "thread", "mutex", "condition_variable"), "Asio"),
    "sqlite3": (("sqlite3.h",), "SQLite"),
    "libnl-route-3.0": (("netlink/",), "libnl"),
    "libpci": (("pci/",), "libpci"),
    "libedit": (("editline/", "histedit.h"), "libedit"),
    "spdlog": (("spdlog/",), "spdlog"),
}
# Said so by who has a thread and no coroutine.
IN_WORDS = {words: linked for linked, (_, words) in OUTSIDE.items()} | {"a thread": "threads"}


def rooms():
    """Each layer by its name: its directory and what its meson.build says."""
    for top in ("protocol", "src"):
        for directory, _, names in os.walk(top):
            if "meson.build" in names and any(name.endswith(".cpp") for name in names):
                with open(os.path.join(directory, "meson.build")) as file:
                    yield os.path.relpath(directory, top), directory, file.read()


ROOMS = {name: directory for name, directory, _ in rooms()}
BUILDS = {name: text for name, _, text in rooms()}


def layer_of(linked):
    """`port_layer`, `command_table`, `qmp`: as its directory is called; else nothing of ours."""
    name = linked.removesuffix("_layer")
    return next((each for each in (name, name.replace("_", "/", 1)) if each in ROOMS), None)


def links(name):
    """What a layer's libraries and programs are linked with, for themselves."""
    found = set()
    for target in re.findall(r"(?:static_library|executable)\((.*?)\)\n", BUILDS[name], re.S):
        listed = re.search(r"dependencies: \[(.*?)\]", target, re.S)
        text = re.sub(r"dependency\('([^']+)'(?:[^()]|\([^()]*\))*\)", r"\1", listed[1])
        text = re.sub(r"_found\.partial_dependency\([^)]*\)", "", text)
        found |= {each.strip() for each in text.split(",")}
    own = {each for each in found if layer_of(each) == name}
    # Of the values' public headers; what spdlog is compiled with.
    return {layer_of(each) or each for each in found - own} - {"boost", "fmt" if "spdlog" in found else ""}


def included(path):
    with open(path) as file:
        for line in file:
            if found := re.match(r'\s*#include\s+([<"])([^>"]+)[>"]', line):
                yield found[1] == '"', found[2]


# As they stand in an #include, a room before the folder that it is in.
NAMES = sorted(ROOMS, key=len, reverse=True)


def used(name, path):
    """What a file of that layer uses, each with the #include that says so."""
    for quoted, header in included(path):
        if quoted:
            yield next((each for each in NAMES if header.startswith(each + "/")), header), header
        elif header.startswith("vmplug/"):
            yield DONE_BY.get(header.removeprefix("vmplug/"), "value"), header
        else:
            for linked, (begins, _) in OUTSIDE.items():
                if any(header == each or (header.startswith(each) and not each.isalpha()) for each in begins):
                    yield linked, header


def files_of(directory):
    return sorted(name for name in os.listdir(directory) if name.endswith((".hpp", ".cpp")))


def compare_includes(name):
    allowed, seen = links(name), set()
    for file in files_of(ROOMS[name]):
        path = os.path.join(ROOMS[name], file)
        for of, header in used(name, path):
            seen.add(of)
            if of != name and of not in allowed:
                yield f"{path}: includes {header}, and {ROOMS[name]}/meson.build does not list {of}"
    for needless in sorted(allowed - seen - {"value"}):
        yield f"{ROOMS[name]}/meson.build: lists {needless}, and nothing there includes it"


def read_sentence(text):
    """What "May use ..." says: layers and libraries, as meson.build calls them."""
    found = re.search(r"\b[Mm]ay use:? (.*?)(?:\. |;|\.?$)", re.sub(r"\s+", " ", text))
    if not found:
        return None
    words = re.sub(r"\([^)]*\)", "", found[1]).replace("`", "")
    parts = (re.sub(r" for .*", "", each).strip() for each in re.split(r", | and ", words))
    return {{"include": "value"}.get(each, IN_WORDS.get(each, each.removeprefix("protocol/")))
            for each in parts if each and each != "nothing"}


def compare_readme(name):
    path = os.path.join(ROOMS[name], "README.md")
    if not os.path.exists(path):
        yield f"{path}: is missing"
        return
    with open(path) as file:
        text = file.read()
    said = read_sentence(text)
    if said is None:
        yield f"{path}: does not say what it may use"
        return
    of = ROOMS[name].split("/")[1]
    said = {f"{of}/{each}" if f"{of}/{each}" in ROOMS and each not in ROOMS else each for each in said}
    for each in sorted(links(name) - said):
        yield f"{path}: does not say that it may use {each}, which its meson.build lists"
    for each in sorted(said - links(name)):
        yield f"{path}: says that it may use {each}, which its meson.build does not list"
    named = set(re.findall(r"`(?:\w+/)*(\w+)(?:\.[hc]pp)?`", text))
    for each in sorted({file.rsplit(".", 1)[0] for file in files_of(ROOMS[name])} - named - {"main"}):
        yield f"{path}: does not name `{each}`"


def public_headers():
    for file in files_of("include/vmplug"):
        for quoted, header in included(os.path.join("include/vmplug", file)):
            fine = header.startswith(("vmplug/", "boost/system/")) or "/" not in header \
                or header == "nlohmann/json_fwd.hpp" or (header.startswith("boost/asio/") and file in WITH_ASIO)
            if quoted or not fine:
                yield f"include/vmplug/{file}: includes {header}"


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


def words_of_the_edge(directory, words):
    for file in files_of(directory):
        path = os.path.join(directory, file)
        for number, text in texts(path):
            if words.search(text):
                yield f"{path}:{number}: has a word of the command line: {text}"


def cycle():
    try:
        graphlib.TopologicalSorter({name: links(name) for name in ROOMS}).prepare()
    except graphlib.CycleError as found:
        yield "a circle of arrows: " + " <- ".join(found.args[1])


def homeless():
    known = {"include/vmplug", *ROOMS.values()}
    for top in ("include/vmplug", "protocol", "src"):
        for directory, _, _ in os.walk(top):
            if directory not in known:
                yield from (f"{directory}/{file}: belongs to no layer" for file in files_of(directory))


def main():
    failures = [*cycle(), *public_headers(), *homeless()]
    words = command_line_words()
    for name, directory in sorted(ROOMS.items()):
        failures += [*compare_includes(name), *compare_readme(name)]
        if not directory.startswith(EDGE):
            failures += words_of_the_edge(directory, words)
    failures += words_of_the_edge("include/vmplug", words)
    files = sum(len(files_of(each)) for each in ("include/vmplug", *ROOMS.values()))
    print("\n".join(failures) or f"{files} files in {len(ROOMS)} layers keep to their arrows")
    return 1 if failures or files < 50 else 0


sys.exit(main())
