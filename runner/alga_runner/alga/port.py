"""The Alga server as the runner sees it: all is asked through ``AlgaServer.ask``; schedules have their own methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from alga_common.readiness import NOT_CONFIGURED, Finding

from ..errors import HostCallCode, HostCallError
from ..models import CreateScheduleInput, EndpointInfo, ScheduleInfo, UpdateScheduleInput
from . import answers

SERVER_CHECK = "alga_server"
"""The name of the readiness check that asks the server."""


IDEMPOTENCY_KEY = "idempotencyKey"
_OF_GUEST = "guest "
"""Before a key that the guest gave. The runner's start with a request id, which holds no space, so none is the same."""


class Identity(NamedTuple):
    """Who calls. Taken from the execution's context, never from the guest.

    ``execution_token`` is the server's proof that it started the execution; it is valid for this one alone.
    """

    tenant_id: str
    extension_id: str
    install_id: str | None
    request_id: str | None
    execution_token: str | None = None
    trace_headers: tuple[tuple[bytes, bytes], ...] = ()
    """Those of the W3C's Trace Context, for the span of the host call; none without tracing."""

    def __repr__(self) -> str:
        """Without the token."""
        return f"Identity({', '.join(map(repr, self[:4]))})"

    def require_install(self) -> str:
        """The install's id; without one, operations of installs are ``denied`` (alga-contract 4)."""
        if not self.install_id:
            raise HostCallError(HostCallCode.DENIED, "Install ID missing")
        return self.install_id


class SchedulePage(NamedTuple):
    """Some schedules of an install. Those of a ``large`` page take long to write, so each is written by itself."""

    schedules: Sequence[ScheduleInfo]
    large: bool = False


class AlgaServer(ABC):
    """The seam between the runner and an Alga server.

    Every method speaks for the install in ``identity``, finishes by ``deadline`` (a reading of ``time.monotonic()``, in
    seconds), and raises ``HostCallError`` alone: any failure is a value that the guest can read.
    """

    token_refused = False
    """Whether the server refused the runner's token when it last answered; the next accepted call clears it."""

    keeps_idempotency_keys = True
    """Whether a create with an idempotency key can be sent again."""

    cleared_when_absent: frozenset[str] = frozenset()
    """Members of a schedule that the server clears when an update does not carry them."""

    def understood(self, members: dict[str, object]) -> dict[str, object]:
        """Those of a schedule's ``members`` that the server understands.

        Raises ``HostCallError`` when there are others, unless they are to be left out.
        """
        return members

    @abstractmethod
    async def ask(
        self, operation: str, members: Mapping[str, object], identity: Identity, deadline: float
    ) -> Mapping[str, object]:
        """The JSON object of the server's good answer to ``operation`` with ``members``, in the contract's names.

        ``operation`` is a name of ``CALLS``.
        """

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """The install's schedules, oldest first."""
        return answers.schedules(await self.ask("scheduler.list", {}, identity, deadline))

    async def schedule_pages(self, identity: Identity, deadline: float) -> AsyncIterator[SchedulePage]:
        """The same, in pieces."""
        yield SchedulePage(await self.list_schedules(identity, deadline))

    async def get_schedule(
        self, identity: Identity, schedule_id: str, deadline: float
    ) -> ScheduleInfo | None:
        """One schedule; ``None`` when this install has none with that id."""
        return answers.schedule(
            await self.ask("scheduler.get", {"scheduleId": schedule_id}, identity, deadline)
        )

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Create ``schedule``; the new schedule's id.

        The same ``idempotency_key`` of the same install gives the first result for a day; the schedule's own one, if it
        has one, counts instead.
        """
        members = self.understood(schedule.members())
        own = members.get(IDEMPOTENCY_KEY)
        if (key := f"{_OF_GUEST}{own}" if own else idempotency_key) is not None:
            members[IDEMPOTENCY_KEY] = key
        return answers.created_id(await self.ask("scheduler.create", members, identity, deadline))

    async def update_schedule(
        self, identity: Identity, changes: UpdateScheduleInput, deadline: float
    ) -> None:
        """Change the fields that ``changes`` gives; an unknown id is ``not-found``.

        A server that clears what an update does not carry gets the stored values along with the changes. To read them
        and to write are two calls: a change that someone else makes between them is undone in these members. When the
        first call fails, its error is raised, and nothing was written.
        """
        members = self.understood(changes.changes())
        if absent := self.cleared_when_absent - members.keys():
            members |= await self._stored(identity, changes.schedule_id, absent, deadline)
        members["scheduleId"] = changes.schedule_id
        answers.done(await self.ask("scheduler.update", members, identity, deadline))

    async def _stored(
        self, identity: Identity, schedule_id: str, names: Collection[str], deadline: float
    ) -> dict[str, object]:
        """The stored values of the members ``names``."""
        answer = await self.ask("scheduler.get", {"scheduleId": schedule_id}, identity, deadline)
        stored = answers.stored(answer, names)
        if stored is None:
            raise HostCallError(HostCallCode.NOT_FOUND, "Schedule not found")
        return stored

    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        """Delete one schedule; an unknown id is ``not-found``."""
        answers.done(await self.ask("scheduler.delete", {"scheduleId": schedule_id}, identity, deadline))

    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        """The endpoints of the installed version, ordered by path."""
        return answers.endpoints(await self.ask("scheduler.getEndpoints", {}, identity, deadline))

    async def check_token(self, deadline: float) -> None:
        """Have the server check the runner's token, by a call for an install that does not exist.

        Raises ``HostCallError`` unless the server's API answered and accepts the token.
        """
        try:
            await self.ask("scheduler.list", {}, _NO_INSTALL, deadline)
        except HostCallError as error:
            # The API judges the token first (alga-contract 5.1), so these come from behind that check.
            if error.fault or error.host_code not in {HostCallCode.NOT_FOUND, HostCallCode.DENIED}:
                raise

    async def check(self, now: Callable[[], datetime]) -> Sequence[Finding]:
        """Whether the server answers, accepts the runner's token, and has the time of ``now``. Raises nothing.

        A server that is not asked over HTTP has nothing to check.
        """
        return ()

    async def aclose(self) -> None:
        """Close the connections."""
        return


_NO_INSTALL = Identity("readiness", "readiness", "00000000-0000-0000-0000-000000000000", None)


class NoAlgaServer(AlgaServer):
    """The server of a runner that has none configured: every operation is ``unavailable``."""

    async def ask(
        self, operation: str, members: Mapping[str, object], identity: Identity, deadline: float
    ) -> Mapping[str, object]:
        """Unavailable."""
        raise HostCallError(
            HostCallCode.UNAVAILABLE, "This runner has no Alga server (STORAGE_API_BASE_URL is not set)."
        )

    async def check(self, now: Callable[[], datetime]) -> Sequence[Finding]:
        """Nothing to check."""
        sentence = "No Alga server is configured: every host call answers unavailable."
        return [Finding(SERVER_CHECK, NOT_CONFIGURED, sentence, "Set STORAGE_API_BASE_URL.")]
