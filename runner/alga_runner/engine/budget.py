"""The time of one execution: a wall clock deadline and a share of CPU, and whose it is; kept by who runs its guest."""

from __future__ import annotations

import asyncio
from time import monotonic

import anyio

from ..errors import CpuLimit
from ..frames import Frame

UNLIMITED = float("inf")


class Budget:
    """What is left of an execution's time, in seconds.

    ``until`` is the deadline, a reading of ``time.monotonic()``. ``cpu_s`` is what the guest may compute and
    ``used_s`` what it has; the host's own part of its quick answers counts, waiting does not. It is measured in slices,
    so a guest can be one slice over. ``stack`` is where the guest was when its time ended, innermost first, if it was
    computing then. ``owner`` is whose guest it is: owners share the processor, however many guests each has.
    """

    # Nearly no execution changes these, so they are its own only when it does.
    stack: tuple[Frame, ...] = ()
    stopped: bool = False
    """Nobody waits for the execution any more: the runner ends."""
    scope: anyio.CancelScope | None = None
    """Where the execution waited last for an answer: what ends that."""
    turn: asyncio.Future[bool] | None = None
    """What it waited for last, for its turn."""

    def __init__(self, until: float = UNLIMITED, cpu_s: float = UNLIMITED, owner: str = "") -> None:
        self.until = until
        self.cpu_s = cpu_s
        self.used_s = 0.0
        self.owner = owner

    def stop(self) -> None:
        """End the execution as soon as it waits, which it does after a slice at the latest."""
        self.stopped = True
        if self.scope is not None:
            self.scope.cancel()
        if self.turn is not None:
            _give_up(self.turn)

    def while_waiting(
        self, turn: asyncio.Future[bool], loop: asyncio.AbstractEventLoop
    ) -> asyncio.TimerHandle | None:
        """Have ``turn`` result in ``False`` when the time is over; cancel what this gives once it has a result.

        A scope would do the same for five times as much.
        """
        self.turn = turn
        if self.stopped:
            _give_up(turn)
        if self.until == UNLIMITED:
            return None
        return loop.call_later(self.until - monotonic(), _give_up, turn)

    @property
    def spent(self) -> bool:
        """Whether the guest has used all its CPU time."""
        return self.used_s > self.cpu_s

    def spent_error(self) -> CpuLimit:
        """The error of a guest that used all its CPU time."""
        return CpuLimit(
            f"The guest used more than {round(self.cpu_s * 1000)} ms of CPU time.",
            frames=self.stack,
            hint="Raise limits.cpu_ms, or let the guest do less.",
        )


def _give_up(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)
