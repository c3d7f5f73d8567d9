"""Run every check of the project, each whatever the others say, and end with a table.

``make ci`` calls this with the name of make. Needs nothing but the standard library. Exits with 1 when a target
failed, or was not run for another reason than a tool that cannot be installed here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

SETUP = "setup-dev"
TARGETS = ("check", "test", "demo", "samples-check")
NODE = {"samples-check": ("node", "npm")}
"""Tools that a target needs and pip cannot install."""
MANAGERS = {
    "apt-get": "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm",
    "dnf": "dnf install -y -q nodejs npm",
    "apk": "apk add --quiet nodejs npm",
}
NOT_RUN = re.compile(r"^not run: (.*)$")
"""A target that prints this line and succeeds says that it could not do its work, and why."""


@dataclass
class Outcome:
    """How one target went; ``excused`` is a target that cannot run on this machine."""

    target: str
    result: str
    why: str = ""
    seconds: float = 0.0
    excused: bool = False


def run(make: str, target: str) -> Outcome:
    """Run one target, its output passed through as it comes."""
    say(f"\n=== make {target}")
    started = time.monotonic()
    last, missing = "", ""
    with subprocess.Popen(
        [make, target],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for raw in process.stdout or ():
            line = raw.rstrip()
            say(line)
            if found := NOT_RUN.match(line):
                missing = found[1]
            if any(map(str.isalnum, line)) and not line.startswith("make"):
                last = line.strip()
    seconds = time.monotonic() - started
    if process.returncode:
        return Outcome(target, "failed", last or f"exit status {process.returncode}", seconds)
    if missing:
        return Outcome(target, "not run", missing, seconds, excused=True)
    return Outcome(target, "ran", "", seconds)


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


def table(outcomes: list[Outcome]) -> str:
    """The outcomes, a line each."""
    rows = [("target", "result", "seconds", "why")]
    rows += [(one.target, one.result, f"{one.seconds:.1f}", one.why[:100]) for one in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{target:<{widths[0]}}  {result:<{widths[1]}}  {seconds:>{widths[2]}}  {why}".rstrip()
        for target, result, seconds, why in rows
    )


def say(line: str) -> None:
    """Print, at once: a pipe shows what is going on, too."""
    print(line, flush=True)


def main(make: str) -> int:
    """Run all; the exit status."""
    outcomes = [run(make, SETUP)]
    ready = outcomes[0].result == "ran"
    for target in TARGETS:
        if ready:
            outcomes.append(lacking(target) or run(make, target))
        else:
            outcomes.append(Outcome(target, "not run", f"{SETUP} failed"))
    say("\n" + table(outcomes))
    return int(any(one.result != "ran" and not one.excused for one in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "make"))
