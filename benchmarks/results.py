"""``results/latest.json``: what the latest run measured, under dotted keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .figures import Result, Spread, rounded
from .goals import GOALS

LATEST = Path(__file__).resolve().parent / "results" / "latest.json"
PROFILES = LATEST.with_name("profiles.json")


def document(results: Sequence[Result], about: Mapping[str, object]) -> dict[str, object]:
    """``about`` the run, then an object for each key."""
    return {"about": dict(about), **{result.key: _entry(result) for result in results}}


def before(path: Path) -> dict[str, object]:
    """The results in ``path`` under keys that there still are; nothing if there is no such file."""
    written: dict[str, object] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {key: entry for key, entry in written.items() if key == "about" or key in GOALS}


def write(path: Path, written: object) -> None:
    """Write a document, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".tmp")
    half.write_text(json.dumps(written, indent=2) + "\n", "utf-8")
    half.replace(path)


def _entry(result: Result) -> dict[str, object]:
    goal = GOALS[result.key]
    entry: dict[str, object] = {
        "value": None if result.value is None else rounded(result.value),
        "meaning": goal.meaning,
        "goal": str(goal) or None,
        "met": goal.met(result.value),
    }
    if result.spread is not None:
        entry["spread"] = result.spread.document()
    entry["counts"] = dict(result.counts)
    entry["figures"] = {
        name: figure.document() if isinstance(figure, Spread) else rounded(figure)
        for name, figure in result.figures.items()
    }
    if result.note:
        entry["note"] = result.note
    return entry
