"""Whatever ends the lab, no process and no file of it stays. Runs on this machine, outside of the virtual host."""
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from lab_tool import expect, run_tests, wait_until

work = tempfile.TemporaryDirectory(prefix="vmplug-test.")


def processes():
    """Those that have to do with this test's directory for temporary files."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if work.name + "/vmplug-lab" in command:
            found.append(f"{pid} {command}")
    return found


def gone():
    return not processes() and not os.listdir(work.name)


def run_until_it_is_up():
    run = subprocess.Popen(["examples/lab/run", "--", "sh", "-c", "echo up; sleep 1000"], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, start_new_session=True,
                           env=os.environ | {"TMPDIR": work.name})
    expect(run.stdout.readline() == "up\n", "it does not come up")
    expect(processes() and os.listdir(work.name), "nothing is seen of it")
    return run


def after(send):
    run = run_until_it_is_up()
    send(run.pid)
    run.wait(timeout=30)
    wait_until(gone, 20, f"all is gone: {processes()} {os.listdir(work.name)}")
    run.stdout.close()


def an_end_of_its_own_leaves_nothing():
    subprocess.run(["examples/lab/run", "--", "true"], check=True, env=os.environ | {"TMPDIR": work.name})
    wait_until(gone, 5, f"all is gone: {processes()} {os.listdir(work.name)}")


def asked_to_end_it_leaves_nothing():
    after(lambda pid: os.kill(pid, signal.SIGTERM))


def killed_it_leaves_nothing():
    after(lambda pid: os.kill(pid, signal.SIGKILL))


def killed_with_its_whole_group_it_leaves_nothing():
    after(lambda pid: os.killpg(pid, signal.SIGKILL))


if os.environ.get("VMPLUG_WITHOUT_LAB"):
    print("1..0 # SKIP without the lab, as asked")
    sys.exit(0)
try:
    run_tests([an_end_of_its_own_leaves_nothing, asked_to_end_it_leaves_nothing, killed_it_leaves_nothing,
               killed_with_its_whole_group_it_leaves_nothing])
finally:
    work.cleanup()
