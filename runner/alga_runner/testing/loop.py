"""The interface of ``Alga`` that its extensions and its clock use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from .response import Response
from .runs import Runs

T = TypeVar("T")


class Loop(Protocol):
    """Runs calls on an event loop, and collects their log lines and host calls."""

    def run(self, do: Callable[[], Awaitable[T]]) -> T:
        """Run ``do`` on the event loop."""
        ...

    def note(self, responses: Iterable[Response]) -> None:
        """Add the log lines and host calls of ``responses``."""
        ...

    def runs(self) -> Runs:
        """Every run of a schedule so far."""
        ...
