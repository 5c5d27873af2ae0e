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
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "VERBS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT",
                    "FILES", "EXAMPLES", "SEE ALSO"):
        expect(f"\n{section}\n" in shown, section)
    for verb in verbs():
        expect(f"\n   {verb}\n       vmplug {verb}" in shown, verb)
        example = re.search(r"^Example: (.*)$", vmplug_help(verb), re.M)[1]
        expect(f"           {example}\n" in shown, example)
    for word in ("VMPLUG_STATE_DIR", "/var/lib/vmplug/journal.db", "-v, --verbose", "--state-dir DIR"):
        expect(word in shown, word)


def the_version_says_what_it_is_built_on():
    shown = run(VMPLUG, "--version").stdout
    expect(re.match(r"vmplug \d+\.\d+\.\d+\n", shown), shown)
    for library in ("Boost", "nlohmann/json", "fmt", "spdlog", "SQLite", "libnl", "libpci", "CLI11"):
        expect(re.search(rf"\b{library} \d+\.\d+", shown), library)


try:
    run_tests([every_example_runs_and_changes_nothing,
               completion_offers_every_verb_and_option_that_help_shows,
               completion_is_quick_and_never_fails,
               the_manual_page_is_good_roff,
               the_manual_page_shows_every_verb_with_its_example,
               the_version_says_what_it_is_built_on])
finally:
    work.cleanup()
