"""A process that writes keys in groups: ``python writing_process.py URL``. It prints each that is committed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import anyio
from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from alga_server.storage.database import Database
from alga_server.storage.tables import bundle

KEYS = 96
_IN_FLIGHT = 12


def tell(line: str) -> None:
    """Say a line to the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(url: str) -> None:
    """Write every key, those that are there already in vain."""
    database = Database(url)
    await database.start()
    tell("ready")
    sys.stdin.readline()
    keys = iter(range(KEYS))

    async def write() -> None:
        for key in keys:
            await one(f"{key:03}")

    async def one(key: str) -> None:
        def add(connection: Connection) -> None:
            row = {"content_hash": key, "archive": b"x", "created_at": datetime.now(UTC)}
            connection.execute(insert(bundle).values(row))

        try:
            await database.write_together(add)
        except IntegrityError:  # the other process was first
            return
        tell(key)

    async with anyio.create_task_group() as tasks:
        for _ in range(_IN_FLIGHT):
            tasks.start_soon(write)
    await database.aclose()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
