"""How much before its time limit an execution ends, so that its caller still waits for the answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Margin:
    """Seconds: ``total_s`` are taken from the time limit, and ``answer_s`` are left for the answer after the end."""

    total_s: float = 0.0
    answer_s: float = float("inf")


NO_MARGIN = Margin()
"""That of a caller in this process, who waits as long as the execution takes."""
