"""Run every check of the project, each whatever the others say, and end with a table.

``make ci`` calls this with the name of make. Needs nothing but the standard library. Exits with 1 when a target
failed, or was not run for another reason than a tool that cannot be installed here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from outcomes import Outcome, close, follow, say

SETUP = "setup-dev"
TARGETS = (
    "check",
    "test",
    "test-processes",
    "test-others",
    "test-postgres",
    "test-bench",
    "demo",
    "samples-check",
    "guests-check",
)
NODE = {"samples-check": ("node", "npm")}
"""Tools that a target needs and pip cannot install."""
MANAGERS = {
    "apt-get": "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm",
    "dnf": "dnf install -y -q nodejs npm",
    "apk": "apk add --quiet nodejs npm",
}


def run(make: str, target: str) -> Outcome:
    """Run one target."""
    say(f"\n=== make {target}")
    return follow(target, [make, target])


def lacking(target: str) -> Outcome | None:
    """Install what ``target`` needs from the system; why it cannot run where that is not possible."""
    missing = [tool for tool in NODE.get(target, ()) if not shutil.which(tool)]
    if not missing:
        return None
    names = " and ".join(missing)
    manager = next((name for name in MANAGERS if shutil.which(name)), None)
    if manager is None or os.geteuid() != 0:
        why = "no package manager" if manager is None else f"only root can use {manager}"
        return Outcome(target, "not run", f"{names} not installed: {why}", excused=True)
    say(f"\n=== {manager}: installing {names}")
    installed = subprocess.run(["sh", "-c", MANAGERS[manager]], stdin=subprocess.DEVNULL, check=False)
    if installed.returncode == 0 and all(shutil.which(tool) for tool in missing):
        return None
    return Outcome(target, "not run", f"{names} not installed: {manager} failed", excused=True)


def main(make: str) -> int:
    """Run all; the exit status."""
    outcomes = [run(make, SETUP)]
    ready = outcomes[0].result == "ran"
    for target in TARGETS:
        if ready:
            outcomes.append(lacking(target) or run(make, target))
        else:
            outcomes.append(Outcome(target, "not run", f"{SETUP} failed"))
    return close(outcomes, "target")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "make"))
