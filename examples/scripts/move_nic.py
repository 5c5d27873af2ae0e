#!/usr/bin/env python3
"""Moves a NIC from one running guest to another. If the second cannot take it, the first gets it back.

Prints one JSON object and exits with what it means:
  0 moved   1 a fault   2 wrong arguments   3 refused: the first guest has it as before
  4 the second guest could not take it: the first has it again
  5 a guest has yet to let go of it   6 unknown   7 neither guest could take it: it is on the host
After 5 and 6 `vmplug recover` goes on, and `vmplug list` says where the NIC is.
"""
import argparse
import json
import signal
import subprocess
import sys
import time
import uuid
from typing import Any, NoReturn

DONE, FAULT, REFUSED, ROLLED_BACK, UNKNOWN, NOWHERE = 0, 1, 3, 4, 6, 7
PAUSES = 1, 2, 4  # seconds, before what has no answer is tried again


def vmplug(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer. A vmplug that was killed has left what one that got no answer leaves."""
    run = subprocess.run(["vmplug", *arguments, "--json"], stdout=subprocess.PIPE, text=True)
    if run.returncode < 0:
        return UNKNOWN, {}
    return run.returncode, json.loads(run.stdout or "{}")


def reason(answer: dict[str, Any]) -> str:
    """What went wrong, in vmplug's words."""
    errors = answer.get("refusals") or [answer.get("error") or {"text": "vmplug gave no answer"}]
    return "; ".join(each["text"] for each in errors)


def settled(*arguments: str) -> tuple[int, dict[str, Any]]:
    """An attach or a detach, done at most once by its key, when it is known how it ended."""
    key = str(uuid.uuid4())
    code, answer = vmplug(*arguments, "--request-id", key)
    for pause in PAUSES:
        if code != UNKNOWN:
            break
        time.sleep(pause)
        vmplug("recover")
        code, answer = vmplug(*arguments, "--request-id", key)
    return code, answer


def end(code: int, text: str, **more: Any) -> NoReturn:
    print(json.dumps({"moved": code == DONE, "text": text, **more}))
    sys.exit(code)


def find(guest: str, qdev_id: str) -> dict[str, str]:
    """What the journal says of the NIC: its address, its port, the guest's name."""
    code, answer = vmplug("list")
    if code != DONE:
        end(code, reason(answer))
    for each in answer["assignments"]:
        names = (each.get("guest"), each.get("guest_pid"), each.get("monitor", "").removeprefix("qmp:"))
        if each.get("id") == qdev_id and guest.removeprefix("qmp:") in names:
            return each
    end(REFUSED, f"vmplug has attached no {qdev_id} to {guest}")


def check(attach: list[str]) -> None:
    """Ends unless the second guest would take it, but for the first one having it now."""
    code, answer = vmplug(*attach, "--dry-run")
    standing = {each["code"] for each in answer.get("refusals", [])}
    if code not in (DONE, REFUSED) or standing - {"device_assigned"}:
        end(code, reason(answer))


def move(source: str, qdev_id: str, target: str, timeout: str, properties: list[str]) -> NoReturn:
    nic = find(source, qdev_id)
    attach = ["attach", target, nic["device"], "--id", qdev_id]
    attach += [word for each in properties for word in ("--set", each)]
    check(attach)
    code, answer = settled("detach", source, qdev_id, "--timeout", timeout)
    if code != DONE:
        end(code, reason(answer))
    code, answer = settled(*attach)
    if code == DONE:
        end(DONE, f"{qdev_id} is in {target}", device=nic["device"])
    failed = f"{target} did not take it: {reason(answer)}"
    if code not in (REFUSED, ROLLED_BACK):
        end(code, failed)
    # It is home on the host, verified: the first guest may have it again, where it was.
    code, answer = settled("attach", source, nic["device"], "--id", qdev_id, "--port", nic["port"])
    if code == DONE:
        end(ROLLED_BACK, f"{failed}; {source} has it again")
    end(NOWHERE if code in (REFUSED, ROLLED_BACK) else code, f"{failed}; nor did {source}: {reason(answer)}")


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="FROM", help="the guest that has the NIC")
    parser.add_argument("id", metavar="ID", help="what it is called there")
    parser.add_argument("target", metavar="TO", help="the guest that is to have it, under the same id")
    parser.add_argument("--timeout", default="30s", help="how long FROM may take to let go")
    parser.add_argument("--set", action="append", default=[], metavar="PROP=VALUE", dest="properties",
                        help="a further property of the device in TO; FROM gets it back without any")
    chosen = parser.parse_args()

    # Half a move is none. An interrupt reaches vmplug too, which undoes what it is at: what follows
    # is decided from its answer.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        move(chosen.source, chosen.id, chosen.target, chosen.timeout, chosen.properties)
    except (OSError, ValueError) as error:
        end(FAULT, str(error))


if __name__ == "__main__":
    main()
