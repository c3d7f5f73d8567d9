"""How a command shows whether the runner has a version loaded ahead of its first execution."""

from __future__ import annotations

from typing import Any

from alga_common.cli.commands import say

ANSWER_S = 360.0
"""The longest wait for an answer that waits for the runner: more than ``warmup_timeout_ms`` may be."""


def warmup_text(warmup: dict[str, Any]) -> str | None:
    """Return what a page shows of it, ``None`` for nothing."""
    if warmup["status"] == "ready":
        return f"ready on the runner, after {warmup['durationMs'] / 1000:.1f} s"
    if warmup["status"] == "refused":
        return f"refused by the runner: {warmup['code']}"
    if warmup["status"] == "unavailable":
        return f"not yet; the first execution waits for it. {_sentence(warmup)} ({warmup['code']})"
    return None


def warn_if_refused(warmup: dict[str, Any]) -> None:
    """Print on stderr why the runner cannot execute the version, and the next step."""
    if warmup["status"] == "refused":
        say("warning", f"The runner cannot execute this version: {_sentence(warmup)}")
        if warmup["hint"]:
            say("hint", warmup["hint"])


def _sentence(warmup: dict[str, Any]) -> str:
    return f"{(warmup['message'] or '').rstrip('.')}."
