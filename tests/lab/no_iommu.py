"""A host without an IOMMU: what every beginner has. Runs inside of the lab's virtual host."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *


def driver():
    return os.path.basename(os.readlink("/sys/bus/pci/devices/0000:01:00.0/driver"))


def attach_is_refused_and_says_why():
    qemu = subprocess.Popen(["qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-m", "16",
                             "-machine", "q35", "-device", "pcie-root-port,id=rp0", "-name", "guest=web",
                             "-qmp", "unix:/run/web.qmp,server=on,wait=off"])
    try:
        wait_until(lambda: os.path.exists("/run/web.qmp"), 30, "QEMU runs")
        result = vmplug("attach", "web", "01:00.0")
        expect(result.code == 3 and "no_iommu" in result.codes, result)
        expect("intel_iommu=on" in result.error["remedy"], result)
        expect(driver() == "e1000e", driver())
    finally:
        qemu.kill()
        qemu.wait()


def check_says_what_is_missing():
    result = vmplug("check", "01:00.0")
    rows = {each["check"]: each for each in result.json["checks"]}
    expect(result.code == 3 and rows["IOMMU"]["state"] == "missing", result)
    expect("No IOMMU found" in rows["IOMMU"]["evidence"] and "VT-d" in rows["IOMMU"]["remedy"], result)
    expect(rows["vfio-pci"]["state"] == "ok", result)


def the_unsafe_mode_is_never_taken_for_an_iommu():
    subprocess.run(["modprobe", "vfio", "enable_unsafe_noiommu_mode=1"], check=True)
    subprocess.run(["modprobe", "vfio-pci"], check=True)
    result = vmplug("bind", "01:00.0")
    expect(result.code == 3 and result.codes == ["no_iommu"] and driver() == "e1000e", result)
    if not os.path.exists("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"):
        # A kernel that was built without the mode (Debian's): then force does not help either.
        expect("--force" not in result.error["remedy"], result)
        result = vmplug("bind", "01:00.0", "--force")
        expect(result.code == 3 and result.codes == ["no_iommu"] and driver() == "e1000e", result)
        return
    expect("--force" in result.error["remedy"], result)
    result = vmplug("bind", "01:00.0", "--force")
    expect(result.code == 0 and driver() == "vfio-pci", result)
    checked = vmplug("check", "01:00.0")
    rows = {each["check"]: each for each in checked.json["checks"] if each["state"] == "missing"}
    expect(checked.code == 3 and {"IOMMU", "IOMMU group"} <= set(rows), checked)
    expect("nothing isolates it" in rows["IOMMU group"]["evidence"], checked)
    node = "/dev/vfio/" + [each for each in os.listdir("/dev/vfio") if each.startswith("noiommu-")][0]
    with open(node, "rb"):
        expect(str(os.getpid()) in vmplug("release", "01:00.0").error["text"], vmplug("release", "01:00.0"))
        owner = vmplug("devices", "01:00.0").json["devices"][0]["owner"]
        expect(owner and (owner.get("pid") == os.getpid() or "operation" in owner), owner)
    result = vmplug("release", "01:00.0")
    expect(result.code == 0 and driver() == "e1000e", result)


os.environ["VMPLUG_STATE_DIR"] = "/run/vmplug-state"
run_tests([attach_is_refused_and_says_why, check_says_what_is_missing,
           the_unsafe_mode_is_never_taken_for_an_iommu])
