"""Recording how runs ended, several in one transaction where several ended at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import anyio
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from ..storage import locks, tables
from ..storage.database import Database
from . import leases
from .leases import Ending
from .runs import Run


@dataclass(slots=True)
class _Ended:
    """A run that ended, and once it is ``done`` what became of its record."""

    run: Run
    ending: Ending
    at: datetime
    duration_ms: int
    done: bool = False
    record: Run | None = None
    failure: BaseException | None = None


class RunRecorder:
    """Those that end while others are being recorded wait for that, and are recorded together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = anyio.Lock()
        self._waiting: list[_Ended] = []

    async def record(self, run: Run, ending: Ending, at: datetime, *, duration_ms: int) -> Run | None:
        """As ``leases.finish``. Raises what the database raises. Cancelling the caller is for it to prevent."""
        mine = _Ended(run, ending, at, duration_ms)
        self._waiting.append(mine)
        async with self._turn:
            if not mine.done:
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        if mine.failure is not None:
            raise mine.failure
        return mine.record

    async def _write(self, batch: list[_Ended]) -> None:
        try:
            await self._together(batch)
        except OperationalError as failure:
            _fail(batch, failure)
        except Exception as failure:  # noqa: BLE001 - told to whom it concerns
            if len(batch) == 1:
                _fail(batch, failure)
                return
            for each in batch:  # one of them cannot be recorded, and is nothing to the others
                await self._write([each])
        except BaseException as failure:
            _fail(batch, failure)
            raise

    async def _together(self, batch: list[_Ended]) -> None:
        def transaction(connection: Connection) -> list[Run | None]:
            locks.change_schedules(
                connection, tables.schedule.c.id.in_([each.run.schedule_id for each in batch])
            )
            return [
                leases.finish(connection, each.run, each.ending, each.at, duration_ms=each.duration_ms)
                for each in batch
            ]

        for each, record in zip(batch, await self._database.write(transaction), strict=True):
            each.record, each.done = record, True


def _fail(batch: list[_Ended], failure: BaseException) -> None:
    for each in batch:
        each.failure, each.done = failure, True
