"""What the scripts that run several things share: a command followed line by line, and a closing table."""

from __future__ import annotations

import re
import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

NOT_RUN = re.compile(r"^not run: (.*)$")
"""A command that prints this line and succeeds could not do its work, for the reason given."""

SUMMARY = re.compile(r"^=*\s*(\d+ (?:passed|failed|error).* in [\d.]+s.*?)\s*=*$")
"""Pytest's last line."""

LAST_LINES = 25


@dataclass
class Outcome:
    """How one of them went; ``excused`` is one that cannot run on this machine. ``end`` is its last output."""

    name: str
    result: str
    why: str = ""
    seconds: float = 0.0
    excused: bool = False
    end: list[str] = field(default_factory=list)


def say(line: str) -> None:
    """Print and flush, so that a pipe shows the progress, too."""
    print(line, flush=True)


def follow(name: str, command: list[str], pass_on: Callable[[str], None] = say) -> Outcome:
    """Run ``command``, and pass its output on as it arrives, line by line."""
    started = time.monotonic()
    last = missing = summary = ""
    end: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for raw in process.stdout or ():
            line = raw.rstrip()
            pass_on(line)
            end.append(line)
            if match := NOT_RUN.match(line):
                missing = match[1]
            if match := SUMMARY.match(line):
                summary = match[1]
            if any(map(str.isalnum, line)) and not line.startswith("make"):
                last = line.strip()
    seconds = time.monotonic() - started
    if process.returncode:
        why = summary or last or f"exit status {process.returncode}"
        return Outcome(name, "failed", why, seconds, end=list(end))
    if missing:
        return Outcome(name, "not run", missing, seconds, excused=True)
    return Outcome(name, "ran", summary, seconds)


def close(outcomes: list[Outcome], heading: str) -> int:
    """Print the ends of what failed, then the table; the exit status."""
    for one in outcomes:
        if one.end:
            say(f"\n--- the end of {one.name}")
            for line in one.end:
                say(line)
    say("\n" + table(outcomes, heading))
    return int(any(one.result != "ran" and not one.excused for one in outcomes))


def table(outcomes: list[Outcome], heading: str) -> str:
    """The outcomes, a line each."""
    rows = [(heading, "result", "seconds", "why")]
    rows += [(one.name, one.result, f"{one.seconds:.1f}", one.why[:100]) for one in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{name:<{widths[0]}}  {result:<{widths[1]}}  {seconds:>{widths[2]}}  {why}".rstrip()
        for name, result, seconds, why in rows
    )
