"""Run every check of the project, each even after failures, and end with a table.

``make ci`` calls this with the name of make. Tests have the machine to themselves, target by target. What mostly
builds with one core goes in two rows at the same time, and what such a target prints follows when it has ended. Needs
nothing but the standard library. Exits with 1 when a target failed, or was not run for another reason than a tool that
cannot be installed here.
"""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Event, Lock

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
    "alerts-check",
    "conformance",
    "test-bench",
    "demo",
)
BUILDS = (
    ("components",),
    # Rust first: `components` ends with it, and both install the compiler.
    ("guest-rust-check", "samples-check", "guests-check", "guest-go", "deploy-check", "test-s3"),
)
"""The two rows, which take about as long as each other."""
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


def build(make: str) -> list[Outcome]:
    """Run the two rows of builds."""
    absent = {target: lacking(target) for row in BUILDS for target in row}
    stopped, printing = Event(), Lock()

    def run_row(row: tuple[str, ...]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for target in row:
            if stopped.is_set():
                break
            lines: list[str] = []
            outcomes.append(absent[target] or follow(target, [make, target], lines.append))
            with printing:
                say("\n".join([f"\n=== make {target}", *lines]))
        return outcomes

    say(f"\n{' '.join(chain(*BUILDS))}: two at a time; each prints when it has ended")
    with ThreadPoolExecutor(len(BUILDS)) as pool:
        try:
            return list(chain(*pool.map(run_row, BUILDS)))
        except KeyboardInterrupt:
            stopped.set()
            raise


def main(make: str) -> int:
    """Run all; the exit status."""
    outcomes = [run(make, SETUP)]
    if outcomes[0].result == "ran":
        outcomes += [lacking(target) or run(make, target) for target in TARGETS]
        outcomes += build(make)
    else:
        why = f"{SETUP} failed"
        outcomes += [Outcome(target, "not run", why) for target in chain(TARGETS, *BUILDS)]
    return close(outcomes, "target")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "make"))
