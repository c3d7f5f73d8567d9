"""Soak: 200,000 executions of each kind, each kind in a process of its own; a table at the end (``make soak``)."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
from dataclasses import asdict

from .kinds import ALL
from .storm import Outcome, Storm

SCALED_TO = 200_000
EVERY_S = 5.0
"""How often progress is shown, in seconds."""

SPARE_KB = 512
"""Left by a few pages more or less, however many executions there were."""


def main() -> int:
    """0 when every outcome was right, every slot came back and memory was flat."""
    options = _options()
    if options.here:
        return _run_here(options)
    failed = False
    rows = []
    for kind in options.kind or list(ALL):
        outcome, status = _run_child(kind, options)
        rows.append(_row(kind, outcome))
        faults = _faults(outcome, status, options)
        failed = failed or bool(faults)
        for fault in faults:
            print(f"{kind}: {fault}", flush=True)
    _print_table(rows)
    if failed:
        print(f"FAILED; to try again: --seed {options.seed}")
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak ARGS=...", description=__doc__)
    parser.add_argument("--kind", action="append", choices=list(ALL), help="default: every kind")
    parser.add_argument(
        "--executions", type=int, default=SCALED_TO, help="of each kind (default: %(default)s)"
    )
    parser.add_argument(
        "--in-flight", type=int, default=40, help="concurrent executions (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="default: a new one")
    parser.add_argument(
        "--max-kb", type=int, default=2048, help="memory that may be left per 200,000 (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--here", action="store_true", help="one kind, in this process; writes its outcome as JSON"
    )
    return parser.parse_args()


def _run_here(options: argparse.Namespace) -> int:
    (kind,) = options.kind
    storm = Storm(ALL[kind], executions=options.executions, in_flight=options.in_flight, seed=options.seed)
    asyncio.run(_with_progress(kind, storm, options.executions, quiet=options.quiet))
    print(json.dumps(asdict(storm.outcome)), flush=True)
    return 0


async def _with_progress(kind: str, storm: Storm, executions: int, *, quiet: bool) -> None:
    loop = asyncio.get_running_loop()

    def show() -> None:
        print(f"{kind:12} {storm.outcome.executions:>9,} of {executions:,}", file=sys.stderr, flush=True)
        nonlocal timer
        timer = loop.call_later(EVERY_S, show)

    timer = loop.call_later(float("inf") if quiet else EVERY_S, show)
    loop.slow_callback_duration = float("inf")  # in debug mode a busy machine would be reported
    try:
        await storm.run()
    finally:
        timer.cancel()


def _run_child(kind: str, options: argparse.Namespace) -> tuple[Outcome | None, int]:
    command = [sys.executable, "-m", __package__, "--here", "--kind", kind]
    for name in ("executions", "in_flight", "seed"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    command += ["--quiet"] if options.quiet else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        return Outcome(**json.loads(done.stdout)), done.returncode
    except ValueError:
        return None, done.returncode


def _faults(outcome: Outcome | None, status: int, options: argparse.Namespace) -> list[str]:
    faults = [] if status == 0 else [f"its process ended with {status}"]
    if outcome is None:
        return faults or ["its process wrote no outcome"]
    if outcome.wrong:
        faults += [f"{outcome.wrong} wrong outcomes", *outcome.faults]
    if outcome.slots_lost:
        faults.append(f"{outcome.slots_lost} slots lost")
    if outcome.left_kb > SPARE_KB and _scaled_kb(outcome) > options.max_kb:
        faults.append(f"{_scaled_kb(outcome):,.0f} KB left per {SCALED_TO:,} executions")
    return faults


def _scaled_kb(outcome: Outcome) -> float:
    measured = outcome.executions - outcome.warm_at
    return outcome.left_kb * SCALED_TO / measured if measured else 0.0


_HEADINGS = (
    "kind",
    "executions",
    "wrong",
    "slots lost",
    "moved",
    "per s",
    "left KB",
    "KB per 200k",
    "endings",
)


def _row(kind: str, outcome: Outcome | None) -> tuple[str, ...]:
    if outcome is None:
        return (kind, *["-"] * (len(_HEADINGS) - 1))
    return (
        kind,
        f"{outcome.executions:,}",
        f"{outcome.wrong:,}",
        str(outcome.slots_lost),
        f"{outcome.moved:,}",
        f"{outcome.executions / outcome.seconds:,.0f}",
        f"{outcome.left_kb:,}",
        f"{_scaled_kb(outcome):,.0f}",
        ", ".join(f"{code} {count:,}" for code, count in sorted(outcome.endings.items())),
    )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    for row in (_HEADINGS, *rows):
        print(
            "  ".join(
                text.ljust(width) if column in (0, len(row) - 1) else text.rjust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )


if __name__ == "__main__":
    sys.exit(main())
