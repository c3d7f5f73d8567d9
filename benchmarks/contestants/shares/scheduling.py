"""Schedules whose runs sleep, and another tenant's that are due while these wait for places."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, ClassVar

import anyio
from sqlalchemy import create_engine, update

from alga_common.time import rfc3339
from alga_server.storage import tables

from ...child import Counts, Work, WrongAnswer
from .executing import guest, sleeping
from .installing import ADMIN, install, schedule
from .sides import QUIET, Side

_DUE, _SLEEPING = 20, 50
"""Schedules of the victim, and of each of the attacker's two installs."""
_SLEEP_S = 0.5
_NEVER = timedelta(days=365)
_LOOK_S = 0.1
_PATIENCE_S = 30.0


class _Scheduling(Side):
    """An order names the server's ``database``, in which instants are set: its API takes none below minutes."""

    tenant: ClassVar[str]

    async def start(self, order: Mapping[str, Any]) -> None:
        """Publish and install extensions with schedules that are due later."""
        self._engine = create_engine(order["database"])
        self._wake = ""
        await self.install(order["schedules"])

    async def install(self, most: int) -> None:
        """Publish and install extensions; each install has up to ``most`` schedules, due later."""
        raise NotImplementedError

    async def scheduled(self, name: str, wasm: bytes, count: int) -> str:
        """Install an extension with so many schedules; the install's id."""
        _, install_id = await install(self.client, self.tenant, name, wasm)
        members = {"missedRuns": "skip"}
        [self._wake, *_] = await schedule(self.client, self.tenant, install_id, count, **members)
        return install_id

    async def set_due(self, install_id: str, at: datetime, *, only_past: bool = False) -> None:
        """Have the schedules of an install be due then, or those that are due now; and the server look at them."""
        table = tables.schedule
        of_install = update(table).where(table.c.install_id == install_id)
        if only_past:
            of_install = of_install.where(table.c.next_run_at <= datetime.now(UTC))
        with self._engine.begin() as connection:
            connection.execute(of_install.values(next_run_at=at, next_nominal_time=rfc3339(at)))
        changed = await self.client.patch(self._wake, json={"name": "first"}, headers=ADMIN)
        changed.raise_for_status()

    async def runs(self, **which: str) -> list[dict[str, Any]]:
        """The tenant's newest runs."""
        query = {"tenantId": self.tenant, "limit": "100", **which}
        answer = await self.client.get("/api/admin/runs", params=query, headers=ADMIN)
        shown: list[dict[str, Any]] = answer.raise_for_status().json()["runs"]
        return shown


class Attacker(_Scheduling):
    """Schedules whose guests sleep, half of them due a second before the other tenant's, half with them."""

    tenant = "sleeper"

    async def install(self, most: int) -> None:
        """Two installs, since one has at most fifty schedules."""
        sleep, imports = sleeping(_SLEEP_S)
        wasm, count = guest(sleep, imports=imports), min(_SLEEPING, most)
        self._installs = [await self.scheduled(f"sleeper{number}", wasm, count) for number in range(2)]

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Get ready."""
        await self.get_ready(order)

        async def run() -> Counts:
            begun = datetime.now(UTC)
            if order["attack"] != QUIET:
                for number, install_id in enumerate(self._installs):
                    await self.set_due(install_id, begun + timedelta(seconds=number))
            await anyio.sleep(order["seconds"])
            if order["attack"] != QUIET:
                for install_id in self._installs:
                    await self.set_due(install_id, begun + _NEVER, only_past=True)
                await self._end()
            ended = [run for run in await self.runs() if run["startedAt"] >= rfc3339(begun)]
            answered = sum(run["status"] == "success" for run in ended)
            return {"done": len(ended), "answered": answered, "refused": len(ended) - answered}

        return run

    async def _end(self) -> None:
        until, running = perf_counter() + _PATIENCE_S, await self.runs(status="running")
        while running and perf_counter() < until:
            await anyio.sleep(_LOOK_S)
            running = await self.runs(status="running")


class Victim(_Scheduling):
    """Schedules whose guests answer immediately; counts the milliseconds from when one is due to the end of its run."""

    tenant = "punctual"

    async def install(self, most: int) -> None:
        """One install."""
        self._count = min(_DUE, most)
        self._install = await self.scheduled("punctual", guest(), self._count)

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Get ready."""
        await self.get_ready(order)

        async def run() -> Counts:
            due = datetime.now(UTC) + timedelta(seconds=order["after"])
            due = due.replace(microsecond=due.microsecond // 1000 * 1000)
            await self.set_due(self._install, due)
            await anyio.sleep(order["after"])
            ended: list[dict[str, Any]] = []
            until = perf_counter() + _PATIENCE_S
            while len(ended) < self._count and perf_counter() < until:
                await anyio.sleep(_LOOK_S)
                ended = [
                    run for run in await self.runs() if run["dueAt"] == rfc3339(due) and run["finishedAt"]
                ]
            took = sorted(
                datetime.fromisoformat(run["finishedAt"]) - due for run in ended if run["status"] == "success"
            )
            if not took:
                raise WrongAnswer(f"No run of {self._count} ended well: {ended}")
            return {"done": len(took), "missed": self._count - len(took)} | {
                f"p{share}_ms": took[len(took) * share // 100] / timedelta(milliseconds=1)
                for share in (50, 99)
            }

        return run
