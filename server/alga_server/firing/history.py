"""Keeps the history of each install short, apart from the claims that make it grow.

To find the newest run that is too old reads as many places of an index as runs are kept. So an install has its turn
when this server records the first of its runs, and then each time that it has recorded a tenth as many as are kept:
about ten places for each run, however many are kept. An install has at most that tenth more for each server.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from itertools import islice

import anyio
from sqlalchemy import Connection, Integer, bindparam, delete, select

from ..clock import Clock
from ..errors import DatabaseUnavailable
from ..storage import batches, plans, tables
from ..storage.database import Database
from ..storage.owned import of_install, place
from .runs import Run

Owner = tuple[str, str]
"""A tenant and its install."""

_KNOWN = 20_000
"""Installs whose runs are counted; of more, those whose last run is longest ago have their turn at their next one."""

_TOGETHER = 25
"""Installs that one transaction looks at: it reads all the runs that they keep."""

_DELETED = 200
"""Runs that one transaction deletes at most: others that write wait meanwhile."""

_AGAIN = timedelta(seconds=1)
"""From a failure to the next attempt."""

logger = logging.getLogger("alga_server")


class History:
    """Forgets the oldest runs of installs of which this server recorded some, so that about ``keep`` are left."""

    def __init__(self, database: Database, clock: Clock, *, keep: int) -> None:
        self._database = database
        self._clock = clock
        self._keep = keep
        self._each = max(1, keep // 10)
        """After how many of its runs an install has a turn."""
        self._left: dict[Owner, int] = {}
        """How many runs until then; the first is the install whose last run is longest ago."""
        self._due: dict[Owner, None] = {}
        """Those of them whose turn it is."""
        self._woken = anyio.Event()

    def recorded(self, run: Run) -> None:
        """Count a run that this server inserted."""
        owner = (run.tenant_id, run.install_id)
        left = self._left.pop(owner, 0) - 1
        if left <= 0:
            self._due[owner] = None
            self._woken.set()
            # Of installs that are met together, each has its second turn at another run.
            left = self._each if left == 0 else 1 + len(self._left) % self._each
        self._left[owner] = left
        if len(self._left) > _KNOWN:
            longest_ago = next(iter(self._left))
            del self._left[longest_ago]
            self._due.pop(longest_ago, None)

    async def keep_short(self) -> None:
        """Trim the installs whose turn it is, until it is cancelled, which interrupts no transaction."""
        while True:
            if not self._due:
                self._woken = anyio.Event()
                await self._woken.wait()
            try:
                await self.trim()
            except DatabaseUnavailable:
                await self._clock.sleep_until(self._clock.now() + _AGAIN)
            except Exception:
                logger.exception("Trimming the history of runs failed", extra={"action": "dispatch_failure"})
                await self._clock.sleep_until(self._clock.now() + _AGAIN)

    async def trim(self) -> None:
        """Trim the installs whose turn it is. After what the database raises, those that are left have theirs still."""
        while owners := list(islice(self._due, _TOGETHER)):
            for owner in owners:
                del self._due[owner]
            try:
                too_old = await self._database.read(partial(newest_too_old, owners=owners, keep=self._keep))
                for owner, ordinal in too_old.items():
                    some = partial(forget, owner=owner, ordinal=ordinal)
                    while await self._database.write(some) == _DELETED:
                        pass
            except BaseException:
                self._due.update(dict.fromkeys(owners))
                raise


_install, _run = tables.install.c, tables.schedule_run
_TOO_OLD = (
    select(_run.c.ordinal)
    .where(_run.c.tenant_id == _install.tenant_id, _run.c.install_id == _install.id)
    .order_by(_run.c.ordinal.desc())
    .offset(bindparam("keep", type_=Integer()))
    .limit(1)
    .scalar_subquery()
)
_NEWEST_TOO_OLD = {
    dialect: select(_install.tenant_id, _install.id, _TOO_OLD).where(several)
    for dialect, several in batches.owned(_install.tenant_id, _install.id).items()
}
_OLD = (
    select(_run.c.ordinal)
    .where(of_install(_run), _run.c.ordinal <= bindparam("newest"), _run.c.status != "running")
    .order_by(_run.c.ordinal)
    .limit(_DELETED)
    .with_for_update(skip_locked=True)  # what another server is deleting needs no waiting for
    .cte("old")  # of a plain subquery, PostgreSQL may look for others again for each row
)
_FORGET = (
    delete(_run)
    .where(of_install(_run), _run.c.ordinal.in_(select(_OLD.c.ordinal)))
    .returning(_run.c.ordinal)  # counted by the caller: after a WITH, Python's sqlite3 does not know how many
)


def newest_too_old(connection: Connection, owners: Iterable[Owner], *, keep: int) -> dict[Owner, int]:
    """The ordinal of the newest run that is not among the newest ``keep``, of each install that has one."""
    plans.by_index(connection)
    given = batches.places(connection, owners) | {"keep": keep}
    rows = connection.execute(_NEWEST_TOO_OLD[connection.dialect.name], given)
    return {(tenant_id, install_id): newest for tenant_id, install_id, newest in rows if newest is not None}


def forget(connection: Connection, owner: Owner, ordinal: int) -> int:
    """Delete the oldest runs of the install that have ended, up to the ordinal and ``_DELETED``; how many."""
    plans.by_index(connection)
    return len(connection.execute(_FORGET, place(*owner) | {"newest": ordinal}).all())
