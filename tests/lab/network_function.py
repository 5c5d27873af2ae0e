"""Virtual functions of a network card, where QEMU has such a card. Runs inside of the lab's virtual host."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_host import *

CARD, FUNCTIONS = "0a:00.0", ("0a:10.0", "0a:10.2")


def set_functions(number):
    for name, value in (("sriov_drivers_autoprobe", "0"), ("sriov_numvfs", number)):
        with open(f"{DEVICES}{CARD}/{name}", "w") as file:
            file.write(value)


def each_function_goes_and_comes_back_and_the_card_stays():
    card = home(CARD)
    set_functions("2")
    try:
        for device in FUNCTIONS:
            expect(open(f"{DEVICES}{device}/config", "rb").read(4) == b"\xff" * 4, "its ids read as ones")
            before = home(device)
            attached("web", device, "--id", "vf0", "--wait-guest", "0s")
            expect(driver(device) == "vfio-pci" and guest_devices("web") == ["vf0"], guest_devices("web"))
            expect(home(CARD) == card, f"the card was touched: {home(CARD)} instead of {card}")
            detached("web", "vf0", "--timeout", "60s")
            expect(home(device) == before and guest_devices("web") == [], home(device))
            expect(home(CARD) == card, f"the card was touched: {home(CARD)} instead of {card}")
    finally:
        set_functions("0")


def a_card_is_not_taken_from_its_functions():
    set_functions("1")
    try:
        refused("device_critical", "bind", CARD, device=CARD)
    finally:
        set_functions("0")
    result = vmplug("bind", CARD)
    expect(result.code == 0 and driver(CARD) == "vfio-pci", result)
    result = vmplug("release", CARD)
    expect(result.code == 0 and driver(CARD) == "igb", result)


if not os.path.exists(f"{DEVICES}{CARD}/sriov_totalvfs"):
    print("1..0 # SKIP this QEMU has no such card")
    sys.exit(0)
start_guests("web")
run_tests([each_function_goes_and_comes_back_and_the_card_stays, a_card_is_not_taken_from_its_functions])
