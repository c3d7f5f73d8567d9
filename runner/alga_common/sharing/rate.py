"""A bound on how often something happens: a burst, then a steady rate."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic


class TokenBucket:
    """Allows ``burst`` events, and ``per_second`` more each second; ``clock`` is read in seconds.

    bucket = TokenBucket(per_second=100, burst=500)
    if bucket.take(): ...
    """

    def __init__(self, *, per_second: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def take(self) -> bool:
        """Return whether one more may happen now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
