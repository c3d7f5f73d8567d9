"""The measured tables of docs/performance.md and guest-abi/README.md, from what the latest runs wrote.

Each is between ``<!-- measured: name -->`` and ``<!-- end -->``; a table without new measurements stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .goals import GOALS
from .page import shown
from .results import LATEST, PROFILES

_ROOT = Path(__file__).resolve().parent.parent
PAGES = (_ROOT / "docs" / "performance.md", _ROOT / "guest-abi" / "README.md")
_BETWEEN = re.compile(r"(<!-- measured: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)

_RESULTS = "results"
_FIGURES = "figures of "
_PROFILE = "profile of "


def rendered(page: str, results: Mapping[str, Any], profiles: Iterable[Mapping[str, Any]]) -> str:
    """``page`` with every table that can be made."""
    by_what = {profile["what"]: profile for profile in profiles}

    def table(match: re.Match[str]) -> str:
        name = match[2]
        made = None
        if name == _RESULTS:
            made = _results(results)
        elif name.startswith(_FIGURES):
            made = _figures(results, name.removeprefix(_FIGURES))
        elif name.startswith(_PROFILE) and name.removeprefix(_PROFILE) in by_what:
            made = _profile(by_what[name.removeprefix(_PROFILE)])
        return f"{match[1]}{made}{match[3]}" if made else match[0]

    return _BETWEEN.sub(table, page)


def _results(results: Mapping[str, Any]) -> str | None:
    if not set(GOALS) <= set(results):
        return None
    rows = []
    for key, goal in GOALS.items():
        result = results[key]
        value = "-" if result["value"] is None else shown(result["value"])
        spread = result.get("spread")
        quartiles = f"{shown(spread['q1'])} - {shown(spread['q3'])}" if spread else ""
        rows.append(
            [
                f"`{key}`",
                goal.meaning,
                value,
                quartiles,
                str(goal),
                {True: "met", False: "missed"}.get(result["met"], ""),
            ]
        )
    return _table(["key", "what it is", "value", "quartiles", "goal", ""], rows)


def _figures(results: Mapping[str, Any], group: str) -> str | None:
    figures: dict[str, Any] = {}
    for key, result in results.items():
        if key.partition(".")[0] == group:
            figures |= result["figures"]
    if not figures:
        return None
    rows = []
    for name, figure in figures.items():
        spread = figure if isinstance(figure, dict) else {"median": figure}
        quartiles = f"{shown(spread['q1'])} - {shown(spread['q3'])}" if spread.get("samples", 1) > 1 else ""
        rows.append([name.replace("_", " "), shown(spread["median"]), quartiles])
    return _table(["figure", "median", "quartiles"], rows)


def _profile(profile: Mapping[str, Any]) -> str:
    total = profile["total_us"]
    rows = [[name, f"{spent:.1f}", f"{spent / total:.0%}"] for name, spent in profile["groups"].items()]
    rows.append(["**all**", f"**{total:.1f}**", ""])
    return _table(["where", "us", ""], rows)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, ["---"] * len(head), *rows])


def update() -> None:
    """Rewrite the tables."""
    results = json.loads(LATEST.read_text("utf-8")) if LATEST.exists() else {}
    profiles = json.loads(PROFILES.read_text("utf-8")) if PROFILES.exists() else []
    for page in PAGES:
        page.write_text(rendered(page.read_text("utf-8"), results, profiles), "utf-8")
