"""What the synchronous front of an embedded Alga runs on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from .response import Response
from .runs import Runs

T = TypeVar("T")


class Loop(Protocol):
    """Where calls run, and where what they leave is kept."""

    def run(self, do: Callable[[], Awaitable[T]]) -> T:
        """Run ``do`` on the event loop."""
        ...

    def note(self, responses: Iterable[Response]) -> None:
        """Keep what executions logged and called."""
        ...

    def runs(self) -> Runs:
        """Every run of a schedule so far."""
        ...
