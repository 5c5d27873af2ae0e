"""What `meson install` puts where, used as people use it: from C++ and in three shells."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import BUILD, expect, run_tests

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")
ROOT = work.name + "/root"
TESTED_LINES = {
    "vmplug att": {"attach"},
    "vmplug bind 0 --driver ": {"vfio-pci", "pci-stub"},
    "vmplug bind 0 --driver=v": {"--driver=vfio-pci"},
    "vmplug explain no_io": {"no_iommu"},
}


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    expect(result.returncode == 0 and not result.stderr, result)
    return result.stdout


def place(pattern):
    """The one installed file that the pattern means, whatever the prefix."""
    found = glob.glob(f"{ROOT}/**/{pattern}", recursive=True)
    expect(len(found) == 1, f"{pattern}: {found}")
    return found[0]


def environment():
    return {**os.environ, "PATH": os.path.dirname(place("bin/vmplug")) + ":" + os.environ["PATH"]}


def everything_is_in_its_place():
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", ROOT)
    for pattern in ("bin/vmplug", "man/man1/vmplug.1", "bash-completion/completions/vmplug",
                    "zsh/site-functions/_vmplug", "fish/vendor_completions.d/vmplug.fish", "libvmplug.a",
                    "pkgconfig/vmplug.pc", "doc/vmplug/README.md", "doc/vmplug/CHANGELOG.md", "doc/vmplug/LICENSE"):
        place(pattern)
    headers = {os.path.basename(each) for each in glob.glob("include/vmplug/*.hpp")}
    expect({os.path.basename(each) for each in glob.glob(f"{ROOT}/**/*.hpp", recursive=True)} == headers, headers)


def a_program_builds_with_what_pkg_config_says_and_runs():
    for name in ("attach_and_list.cpp", "Makefile"):
        shutil.copy("examples/controller/" + name, work.name)
    pc = place("vmplug.pc")
    prefix = ROOT + next(line[7:].strip() for line in open(pc) if line.startswith("prefix="))
    run("make", "-s", "-C", work.name, f"PKG_CONFIG=pkg-config --define-variable=prefix={prefix}",
        env={**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pc)})
    result = subprocess.run([work.name + "/attach_and_list", "nobody"], capture_output=True, text=True, timeout=20)
    expect(result.returncode == 3 and "vm_not_found" in result.stderr, result)


def shows(shell, *command):
    for line, wanted in TESTED_LINES.items():
        found = {each.split("\t")[0] for each in run(shell, *command, line, env=environment()).splitlines()}
        expect(found == wanted, f"{shell}: {line}: {found}")


def bash_completes():
    # What bash does before it calls us: words, which break at colons and equals signs too.
    script = f"""
        source /usr/share/bash-completion/bash_completion
        source {place("bash-completion/completions/vmplug")}
        COMP_LINE=$0 COMP_POINT=${{#0}} COMP_TYPE=9
        read -ra COMP_WORDS <<< "${{0//=/ = }}"
        [[ $0 != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _vmplug
        [[ $0 != *=* ]] || COMPREPLY=("${{COMPREPLY[@]/#/--driver=}}")
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    shows("bash", "--norc", "-c", script)


def fish_completes():
    script = f"source {place('vmplug.fish')}; complete -C $argv[1]"
    shows("fish", "--no-config", "-c", script)


def zsh_completes():
    # compadd works only while a line is edited.
    script = f"""
        compadd() {{ print -l -- $values }}
        complete() {{ source {place("_vmplug")} }}
        words=("${{(@s: :)0}}"); CURRENT=$#words; PREFIX=$words[-1]
        complete"""
    shows("zsh", "-f", "-c", script)


def what_no_candidate_fits_is_left_to_the_shell():
    script = f"""
        _files() {{ print files }}
        complete() {{ source {place("_vmplug")} }}
        words=(vmplug list --state-dir ''); CURRENT=4; PREFIX=
        complete"""
    expect(run("zsh", "-f", "-c", script, env=environment()) == "files\n", "zsh")
    script = f"source {place('vmplug.fish')}; complete -C 'vmplug list --state-dir /us'"
    expect("/usr/" in run("fish", "--no-config", "-c", script, env=environment()), "fish")


try:
    run_tests([everything_is_in_its_place,
               a_program_builds_with_what_pkg_config_says_and_runs,
               bash_completes,
               fish_completes,
               zsh_completes,
               what_no_candidate_fits_is_left_to_the_shell])
finally:
    work.cleanup()
