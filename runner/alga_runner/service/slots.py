"""Room for executions: so many at once, none once the runner drains, and an end for those that stay too long."""

from __future__ import annotations

from types import TracebackType

import anyio

from .http import Refused

_RETRY_AFTER = ((b"retry-after", b"1"),)


class Slot:
    """One request's place while entered. What is inside may be cancelled by ``Slots.stop``, and then just ends."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._scope = anyio.CancelScope()

    def __enter__(self) -> None:
        self._slots.enter(self)
        self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._slots.leave(self)
        return bool(self._scope.__exit__(kind, error, trace))

    def cancel(self) -> None:
        """End what is inside."""
        self._scope.cancel()


class Slots:
    """At most ``limit`` requests are let in at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: set[Slot] = set()
        self._empty = anyio.Event()
        self.draining = False

    @property
    def taken(self) -> int:
        """How many are in."""
        return len(self._taken)

    def take(self) -> Slot:
        """A slot, to be entered. Raises ``Refused`` 503 ``overloaded`` or ``draining``."""
        if self.draining:
            raise draining()
        if len(self._taken) >= self._limit:
            raise overloaded()
        return Slot(self)

    def enter(self, slot: Slot) -> None:
        """``slot`` is in use."""
        self._taken.add(slot)

    def leave(self, slot: Slot) -> None:
        """``slot`` is free again."""
        self._taken.discard(slot)
        if not self._taken:
            self._empty.set()

    async def drain(self, grace_s: float) -> None:
        """Let nobody in any more; return when all have left, which after ``grace_s`` seconds they must."""
        self.draining = True
        with anyio.move_on_after(grace_s):
            await self._wait_until_empty()
        self.stop()
        await self._wait_until_empty()

    def stop(self) -> None:
        """Let nobody in any more and cancel everything that is in."""
        self.draining = True
        for slot in self._taken:
            slot.cancel()

    async def _wait_until_empty(self) -> None:
        while self._taken:
            self._empty = anyio.Event()
            await self._empty.wait()


def overloaded() -> Refused:
    """The refusal of a runner that is full; nothing was carried out."""
    return Refused(
        503, "overloaded", "The runner has no room for another execution right now.", headers=_RETRY_AFTER
    )


def draining() -> Refused:
    """The refusal of a runner that is about to end; nothing was carried out."""
    return Refused(503, "draining", "The runner is shutting down.", headers=_RETRY_AFTER)
