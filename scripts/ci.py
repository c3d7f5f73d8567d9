"""Run every check of the project, each even after failures, and end with a table.

``make ci`` calls this with the name of make. Needs nothing but the standard library. Exits with 1 when a target
failed, or was not run for another reason than a tool that cannot be installed here.
"""

from __future__ import annotations

import shutil
import sys

import packages
from outcomes import Outcome, close, follow, say

SETUP = "setup-dev"
TARGETS = (
    "check",
    "test",
    "test-processes",
    "test-routes",
    "test-components",
    "test-uvloop",
    "test-native",
    "test-others",
    "test-oldest",
    "test-newest",
    "test-postgres",
    "test-redis",
    "test-s3",
    "alerts-check",
    "deploy-check",
    "conformance",
    "test-bench",
    "demo",
    "samples-check",
    "guests-check",
    "guest-rust-check",
    "guest-go",
    "components",
)
NODE = dict.fromkeys(("samples-check", "components"), ("node", "npm"))
"""Tools that a target needs and pip cannot install."""
NODE_PACKAGES = dict.fromkeys(packages.INSTALL, "nodejs npm")


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
    why = packages.install(names, NODE_PACKAGES)
    if why is None and not all(shutil.which(tool) for tool in missing):
        why = f"{names} not installed, though its packages are"
    return None if why is None else Outcome(target, "not run", why, excused=True)


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
