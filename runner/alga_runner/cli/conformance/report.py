"""The cases as they go and as they went, to read or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from alga_common.cli.failures import print_document
from alga_common.cli.page import Page
from alga_common.cli.progress import ProgressLine
from alga_common.signals.coroutines import run
from alga_common.text import counted, shortened

from .kit import Case, Host
from .other import other_host
from .ours import own_host
from .verdict import Fault, faults

_VALUE_CHARACTERS = 600


@dataclass(slots=True)
class Outcome:
    """How one case went."""

    case: Case
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0


def conformance(cases: Sequence[Case], *, host: str | None, as_json: bool) -> bool:
    """Carry the cases out and print how they went; whether all passed."""
    began = perf_counter()
    with ProgressLine(f"0 of {len(cases)} cases") as progress:
        outcomes = run(_carry_out, cases, host, progress)
    if as_json:
        _print_json(outcomes, host)
    else:
        _print_text(outcomes, perf_counter() - began)
    return not any(outcome.faults for outcome in outcomes)


async def _carry_out(cases: Sequence[Case], command: str | None, progress: ProgressLine) -> list[Outcome]:
    if command is not None:
        async with other_host(command) as other:
            return await carry_out(other, cases, progress)
    async with own_host() as own:
        await own.load(cases)
        return await carry_out(own, cases, progress)


async def carry_out(host: Host, cases: Sequence[Case], progress: ProgressLine | None = None) -> list[Outcome]:
    """Carry the cases out on ``host``, one after the other."""
    outcomes = []
    for number, case in enumerate(cases):
        if progress is not None:
            progress.update(f"{number} of {len(cases)} cases; at {case.name}")
        outcome = Outcome(case)
        for _ in range(case.times):
            result = await host.carry_out(case)
            outcome.seconds += result.seconds
            outcome.faults += faults(case, result)
        outcomes.append(outcome)
    return outcomes


def _print_text(outcomes: Sequence[Outcome], seconds: float) -> None:
    page = Page()
    sections: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        sections.setdefault(outcome.case.section, []).append(outcome)
    rows = []
    for section, of_section in sections.items():
        bad = sum(bool(outcome.faults) for outcome in of_section)
        rows.append((section, str(len(of_section) - bad), str(bad)))
    page.table(("SECTION OF ABI.md", "PASSED", "FAILED"), rows, indent=2)
    failed = [outcome for outcome in outcomes if outcome.faults]
    for outcome in failed:
        case = outcome.case
        page.heading(case.name)
        page.line(f"  rule      {shortened(case.rule, _VALUE_CHARACTERS)} (ABI.md, {case.section})")
        for fault in outcome.faults:
            page.line(f"  in        {fault.what}", style="red")
            page.line(f"  expected  {_shown(fault.expected)}")
            page.line(f"  got       {_shown(fault.got)}")
        page.line(f"  guest     {case.module}")
        page.line(f"  again     alga-runner conformance --only '{case.name}'")
    page.gap()
    parts = f"{len(outcomes) - len(failed)} passed, {len(failed)} failed"
    page.line(
        f"{counted(len(outcomes), 'case')}: {parts}, in {seconds:.1f} s.", style="red" if failed else "green"
    )
    if failed:
        page.line(
            "Make the host keep the rules above: guest-abi/ABI.md has them, README.md there the cases' form."
        )


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shortened(text, _VALUE_CHARACTERS)


def _print_json(outcomes: Sequence[Outcome], host: str | None) -> None:
    print_document(
        {
            "host": host or "alga-runner",
            "passed": sum(not outcome.faults for outcome in outcomes),
            "failed": sum(bool(outcome.faults) for outcome in outcomes),
            "cases": [
                {
                    **_described(outcome.case),
                    "passed": not outcome.faults,
                    "seconds": round(outcome.seconds, 6),
                    "faults": [
                        {"what": fault.what, "expected": fault.expected, "got": fault.got}
                        for fault in outcome.faults
                    ],
                }
                for outcome in outcomes
            ],
        }
    )


def _described(case: Case) -> dict[str, str]:
    return {"name": case.name, "section": case.section, "rule": case.rule, "guest": str(case.module)}


def print_list(cases: Sequence[Case], *, as_json: bool) -> None:
    """Print the cases' names and rules."""
    if as_json:
        print_document({"cases": [_described(case) for case in cases]})
        return
    page = Page()
    page.table(
        ("CASE", "SECTION", "RULE"),
        [(case.name, case.section, shortened(case.rule, _VALUE_CHARACTERS)) for case in cases],
    )
