"""The table of verbs as people meet it: help, examples, completion, the manual page."""
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import BUILD, VMPLUG, expect, run_tests

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")
ENVIRONMENT = {**os.environ, "VMPLUG_STATE_DIR": work.name + "/state", "MANWIDTH": "200", "LC_ALL": "C.UTF-8"}
PAGE = os.path.join(BUILD, "src/cli/vmplug.1")


def run(*command, seconds=30):
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=ENVIRONMENT,
                          stdin=subprocess.DEVNULL)


def vmplug_help(*verb):
    shown = run(VMPLUG, *verb, "--help")
    expect(shown.returncode == 0 and not shown.stderr, shown)
    return shown.stdout


def verbs():
    lines = vmplug_help().split("Verbs:")[1].split("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines if line.startswith("  ")]


def candidates(*words):
    shown = run(VMPLUG, "__complete", *words, seconds=5)
    expect(shown.returncode == 0 and not shown.stderr, shown)
    return [line.split("\t")[0] for line in shown.stdout.splitlines()]


def every_example_runs_and_changes_nothing():
    for verb in verbs():
        shown = vmplug_help(verb)
        example = re.search(r"^Example: vmplug (.*)$", shown, re.M)[1].split()
        # What could change something is only planned; whoever runs on is past its arguments.
        planned = ["--dry-run"] if "--dry-run" in shown else []
        try:
            result = run(VMPLUG, *example, *planned, seconds=10)
        except subprocess.TimeoutExpired:
            continue
        # There is no guest "web": that is a refusal, but never bad usage or a fault.
        expect(result.returncode in (0, 3), f"{example}: {result}")


def completion_offers_every_verb_and_option_that_help_shows():
    expect(candidates("") == verbs(), candidates(""))
    for verb in verbs():
        shown = re.findall(r"^  (?:-\w,)?(--[a-z-]+)", vmplug_help(verb), re.M)
        expect(len(shown) > 0 and set(shown) <= set(candidates(verb, "--")), f"{verb}: {shown}")


def completion_is_quick_and_never_fails():
    words = [[], [""], ["--"], ["nothing", ""], ["attach"] * 50, ["attach", "web", "--port", ""],
             ["detach", "", ""], ["x" * 100_000], ["attach", "\x1b[2J", "$(reboot)"], ["list", "--state-dir"],
             ["detach", "--state-dir", "/proc/none", "web", ""], ["ports", "tcp:256.0.0.1:1", "--"]]
    for each in words:
        begin = time.monotonic()
        candidates(*each)
        expect(time.monotonic() - begin < 3, f"{each}: it took too long")


def the_manual_page_is_good_roff():
    for command in (["groff", "-man", "-ww", "-z", "-Tutf8", PAGE], ["man", "--warnings", "-l", PAGE]):
        shown = run(*command)
        expect(shown.returncode == 0 and not shown.stderr, shown)
    with open(PAGE) as page:
        text = page.read()
    # Every line that begins with a dot is a request of ours, and no hyphen is left to typography.
    for line in text.splitlines():
        expect(not line.startswith("'"), line)
        expect(not line.startswith(".") or re.match(r"\.(TH|SH|SS|PP|TP|RS|RE|br)\b", line), line)
        expect("-" not in line.replace("\\-", ""), line)


def the_manual_page_shows_every_verb_with_its_example():
    shown = run("man", "-l", PAGE).stdout
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "VERBS", "OPTIONS", "THE PROMPT", "EXIT STATUS",
                    "ERRORS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"):
        expect(f"\n{section}\n" in shown, section)
    for verb in verbs():
        expect(f"\n   {verb}\n       vmplug {verb}" in shown, verb)
        example = re.search(r"^Example: (.*)$", vmplug_help(verb), re.M)[1]
        expect(f"           {example}\n" in shown, example)
    for word in ("/var/lib/vmplug", "~/.local/state/vmplug/history", "-v, --verbose", "--state-dir DIR"):
        expect(word in shown, word)
    for code in [line.split()[0] for line in run(VMPLUG, "explain").stdout.splitlines()[1:]]:
        expect(f"\n       {code}" in shown, code)
    # Whatever of the environment the program asks for.
    for directory, _, names in os.walk("src"):
        for name in names:
            with open(os.path.join(directory, name)) as source:
                for variable in re.findall(r'getenv\("(\w+)"', source.read()):
                    expect(variable in shown or variable == "HOME", f"{name}: {variable}")


def texts_of_the_program():
    """What it can say: each run of string literals in the sources, with its file."""
    literal = r'"((?:[^"\\\n]|\\.)*)"'
    for directory, _, names in os.walk("src"):
        for name in names:
            if not name.endswith((".cpp", ".hpp")):
                continue
            with open(os.path.join(directory, name)) as source:
                code = re.sub(r"^\s*(//.*|#include.*)$", "", source.read(), flags=re.M)
            for run_of in re.finditer(rf"{literal}(?:\s*{literal})*", code):
                yield name, "".join(re.findall(literal, run_of[0]))


def what_is_advised_exists():
    helps = {verb: vmplug_help(verb) for verb in verbs()}
    options = {word for shown in [vmplug_help(), *helps.values()] for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown)}
    of_others = {"--memlock", "--pid", "--quiet"}  # of prlimit and modprobe
    advised = 0
    for name, said in texts_of_the_program():
        for command in re.findall(r"`vmplug ([^`]*)`", said):
            words = command.split()
            advised += 1
            if words[0] == "VERB" or words[0].startswith("--"):
                continue
            expect(words[0] in helps, f"{name}: there is no verb in `vmplug {command}`")
            for option in words[1:]:
                expect(not option.startswith("--") or option in helps[words[0]], f"{name}: `vmplug {command}`")
        for option in re.findall(r"(?<![\w`-])--[a-z][a-z-]*", re.sub("`[^`]*`", "", said)):
            expect(option in options | of_others, f"{name}: {option} does not exist: {said}")
    expect(advised > 20, f"{advised} commands were found")


def nobody_is_told_to_end_what_may_be_a_guest_or_its_manager():
    harmful = r"\bkill (the|that|it|its|-)|\b(end|stop|terminate|restart) (the|that|its|this|your) (\w+ )?(process|client|program|holder|manager|qemu|guest|host)\b"
    found = 0
    for name, said in texts_of_the_program():
        found += "manager" in said
        expect(not re.search(harmful, said, re.I), f"{name}: {said}")
    expect(found > 3, "texts were found")
    # What a refused user is told is no matter of course for root either.
    for name, said in texts_of_the_program():
        expect(not re.match(r"run as root", said, re.I), f"{name}: {said}")


def every_error_is_explained():
    codes = [line.split()[0] for line in run(VMPLUG, "explain").stdout.splitlines()[1:]]
    expect(len(codes) > 40, codes)
    for code in codes:
        told = run(VMPLUG, "explain", code)
        expect(told.returncode == 0 and len(told.stdout) > 80, told)


def the_version_says_what_it_is_built_on():
    shown = run(VMPLUG, "--version").stdout
    expect(re.match(r"vmplug \d+\.\d+\.\d+\n", shown), shown)
    for library in ("Boost", "nlohmann/json", "fmt", "spdlog", "SQLite", "libnl", "libpci"):
        expect(re.search(rf"\b{library} \d+\.\d+", shown), library)


try:
    run_tests([every_example_runs_and_changes_nothing,
               completion_offers_every_verb_and_option_that_help_shows,
               completion_is_quick_and_never_fails,
               the_manual_page_is_good_roff,
               the_manual_page_shows_every_verb_with_its_example,
               what_is_advised_exists,
               nobody_is_told_to_end_what_may_be_a_guest_or_its_manager,
               every_error_is_explained,
               the_version_says_what_it_is_built_on])
finally:
    work.cleanup()
