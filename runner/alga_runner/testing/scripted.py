"""Alga servers that forward to another one: all operations, or all but those that a test makes fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ..alga import AlgaServer, Identity
from ..errors import HostCallCode, HostCallError
from ..models import CreateScheduleInput, EndpointInfo, ScheduleInfo, UpdateScheduleInput

T = TypeVar("T")

RELAYED = (
    "scheduler.list",
    "scheduler.get",
    "scheduler.create",
    "scheduler.update",
    "scheduler.delete",
    "scheduler.get-endpoints",
)
"""The operations that reach an Alga server."""


class Relay(AlgaServer):
    """Forwards every operation to ``server``, which may be exchanged. Subclasses override ``carry``."""

    def __init__(self, server: AlgaServer) -> None:
        self.server = server

    async def carry(self, operation: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Carry out ``operation``; ``ask`` asks the server and returns its answer."""
        return await ask()

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """The server's answer."""
        return await self.carry("scheduler.list", lambda: self.server.list_schedules(identity, deadline))

    async def get_schedule(
        self, identity: Identity, schedule_id: str, deadline: float
    ) -> ScheduleInfo | None:
        """The server's answer."""
        return await self.carry(
            "scheduler.get", lambda: self.server.get_schedule(identity, schedule_id, deadline)
        )

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """The server's answer."""
        return await self.carry(
            "scheduler.create",
            lambda: self.server.create_schedule(
                identity, schedule, deadline, idempotency_key=idempotency_key
            ),
        )

    async def update_schedule(
        self, identity: Identity, changes: UpdateScheduleInput, deadline: float
    ) -> None:
        """The server's answer."""
        await self.carry("scheduler.update", lambda: self.server.update_schedule(identity, changes, deadline))

    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        """The server's answer."""
        await self.carry(
            "scheduler.delete", lambda: self.server.delete_schedule(identity, schedule_id, deadline)
        )

    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        """The server's answer."""
        return await self.carry(
            "scheduler.get-endpoints", lambda: self.server.get_endpoints(identity, deadline)
        )


@dataclass
class _Failure:
    operation: str
    error: Callable[[], HostCallError]
    left: int | None
    acted: bool
    optional: bool
    met: int = 0


class ScriptedServer(Relay):
    """Answers like the server behind it, except for the failures that a test asks for.

    alga.server.fail("scheduler.create", code="rate-limited", retry_after_ms=1000)
    """

    def __init__(self, server: AlgaServer) -> None:
        super().__init__(server)
        self._failures: list[_Failure] = []
        self._down = 0

    def fail(
        self,
        operation: str,
        *,
        code: str = "unavailable",
        message: str | None = None,
        field_errors: Mapping[str, str] | None = None,
        retry_after_ms: int | None = None,
        times: int | None = 1,
        acted: bool = False,
        optional: bool = False,
    ) -> None:
        """Fail the next ``times`` host calls of ``operation`` (``None``: all that follow) with ``code``.

            alga.server.fail("scheduler.create", code="unavailable", acted=True)

        With ``acted`` the server carries the call out first, and only its answer is lost. A failure that no host call
        has met when the test ends fails the test, unless it is ``optional``. Raises ``ValueError`` for an operation
        that does not reach the server, or an unknown code.
        """
        __tracebackhide__ = True
        if operation not in RELAYED:
            raise ValueError(f"no host call {operation!r} reaches the server; these do: {', '.join(RELAYED)}")
        if code not in (known := [known_code.value for known_code in HostCallCode]):
            raise ValueError(f"a host call has no error {code!r}; it has {', '.join(known)}")

        def error() -> HostCallError:
            return HostCallError(
                HostCallCode(code),
                message or f"The test made {operation} fail.",
                field_errors=field_errors,
                retry_after_ms=retry_after_ms,
            )

        self._failures.append(_Failure(operation, error, times, acted, optional))

    @contextmanager
    def down(self) -> Iterator[None]:
        """Make every host call to the server fail with ``unavailable`` until the block ends.

        with alga.server.down():
            ext.call("POST", "/setup")
        """
        self._down += 1
        try:
            yield
        finally:
            self._down -= 1

    def unmet(self) -> list[str]:
        """A sentence for each failure that host calls should have met and did not."""
        return [
            f"alga.server.fail({failure.operation!r}) was met {failure.met} of "
            f"{failure.met + (failure.left or 1)} times"
            for failure in self._failures
            if not failure.optional and (failure.left or not failure.met)
        ]

    async def carry(self, operation: str, ask: Callable[[], Awaitable[T]]) -> T:
        """The server's answer, or the next failure of ``operation``."""
        if self._down:
            raise HostCallError(HostCallCode.UNAVAILABLE, "The Alga server cannot be reached.")
        failure = next(
            (entry for entry in self._failures if entry.operation == operation and entry.left != 0), None
        )
        if failure is None:
            return await ask()
        failure.met += 1
        if failure.left is not None:
            failure.left -= 1
        if failure.acted:
            await ask()
        raise failure.error()
