"""The measured tables of the documents, from what the latest runs wrote.

Each is between ``<!-- measured: name -->`` and ``<!-- end -->``; a table without new measurements stays as it is. In
the table of results a key without one keeps its row, with a star.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .goals import GOALS, Goal
from .page import shown
from .results import LATEST, PROFILES

_ROOT = Path(__file__).resolve().parent.parent
PAGES = (_ROOT / "docs" / "performance.md", _ROOT / "docs" / "deploy.md", _ROOT / "guest-abi" / "README.md")
_BETWEEN = re.compile(r"(<!-- measured: ([\w ]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_RESULT = re.compile(r"^\| `([\w.]+)` \|.*?(?: \*)? \|$", re.MULTILINE)
_SIZE = re.compile(r"^(\| .* \| )[\d,.]+ \| `(.*)` \|$", re.MULTILINE)

_RESULTS = "results"
_SIZES = "sizes"
_FIGURES = "figures of "
_PROFILE = "profile of "


def rendered(page: str, results: Mapping[str, Any], profiles: Iterable[Mapping[str, Any]]) -> str:
    """``page`` with every table that can be made."""
    by_what = {profile["what"]: profile for profile in profiles}

    def table(match: re.Match[str]) -> str:
        name = match[2]
        made = None
        if name == _RESULTS:
            made = _results(results, match[3])
        elif name == _SIZES:
            made = _sizes(results, match[3])
        elif name.startswith(_FIGURES):
            made = _figures(results, name.removeprefix(_FIGURES))
        elif name.startswith(_PROFILE) and name.removeprefix(_PROFILE) in by_what:
            made = _profile(by_what[name.removeprefix(_PROFILE)])
        return f"{match[1]}{made}{match[4]}" if made else match[0]

    return _BETWEEN.sub(table, page)


def _results(results: Mapping[str, Any], before: str) -> str | None:
    """A row for each goal; one that was not measured has what it had ``before``, marked as such."""
    if not set(GOALS) & set(results):
        return None
    old = {match[1]: match[0] for match in _RESULT.finditer(before)}
    rows = [["key", "what it is", "value", "quartiles", "goal", ""], ["---"] * 6]
    for key, goal in GOALS.items():
        if key in results:
            rows.append(_result(key, goal, results[key]))
        elif key in old:
            cells = [cell.strip() for cell in old[key].strip("|").split("|")]
            rows.append([*cells[:-1], f"{cells[-1].removesuffix('*').strip()} *".strip()])
    return _table(rows)


def _result(key: str, goal: Goal, result: Mapping[str, Any]) -> list[str]:
    value = "-" if result["value"] is None else shown(result["value"])
    spread = result.get("spread")
    quartiles = f"{shown(spread['q1'])} - {shown(spread['q3'])}" if spread else ""
    met = {True: "met", False: "missed"}.get(result["met"], "")
    return [f"`{key}`", goal.meaning, value, quartiles, str(goal), met]


def _sizes(results: Mapping[str, Any], before: str) -> str:
    """The rows of ``before``, each with the present value of the key or figure that its last cell names."""
    values = {key: result["value"] for key, result in results.items() if key in GOALS}
    for key in values.keys() & GOALS:
        for name, figure in results[key]["figures"].items():
            values[name.replace("_", " ")] = figure["median"] if isinstance(figure, dict) else figure

    def row(match: re.Match[str]) -> str:
        value = values.get(match[2])
        return match[0] if value is None else f"{match[1]}{shown(value)} | `{match[2]}` |"

    return _SIZE.sub(row, before)


def _figures(results: Mapping[str, Any], group: str) -> str | None:
    figures: dict[str, Any] = {}
    for key, result in results.items():
        if key.partition(".")[0] == group:
            figures |= result["figures"]
    if not figures:
        return None
    rows = [["figure", "median", "quartiles"], ["---"] * 3]
    for name, figure in figures.items():
        spread = figure if isinstance(figure, dict) else {"median": figure}
        quartiles = f"{shown(spread['q1'])} - {shown(spread['q3'])}" if spread.get("samples", 1) > 1 else ""
        rows.append([name.replace("_", " "), shown(spread["median"]), quartiles])
    return _table(rows)


def _profile(profile: Mapping[str, Any]) -> str:
    total = profile["total_us"]
    rows = [["where", "us", ""], ["---"] * 3]
    rows += [[name, f"{spent:.1f}", f"{spent / total:.0%}"] for name, spent in profile["groups"].items()]
    rows.append(["**all**", f"**{total:.1f}**", ""])
    return _table(rows)


def _table(rows: Iterable[list[str]]) -> str:
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def update() -> None:
    """Rewrite the tables."""
    results = json.loads(LATEST.read_text("utf-8")) if LATEST.exists() else {}
    profiles = json.loads(PROFILES.read_text("utf-8")) if PROFILES.exists() else []
    for page in PAGES:
        page.write_text(rendered(page.read_text("utf-8"), results, profiles), "utf-8")
