"""Processes that write in groups to one file: what one names as committed is stored, and no other names it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest
from sqlalchemy import select

from alga_server.storage.database import Database
from alga_server.storage.tables import bundle

from .writing_process import KEYS

pytestmark = [pytest.mark.processes, pytest.mark.postgres]

PROGRAM = Path(__file__).with_name("writing_process.py")
ALL = [f"{key:03}" for key in range(KEYS)]


@contextmanager
def writing(url: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(PROGRAM), url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def begin(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def rest(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.read().split()


def stored(url: str) -> list[str]:
    async def keys() -> list[str]:
        database = Database(url)
        query = select(bundle.c.content_hash).order_by(bundle.c.content_hash)
        values: list[str] = await database.read(lambda connection: list(connection.execute(query).scalars()))
        await database.aclose()
        return values

    return anyio.run(keys)


def test_two_processes_write_each_key_once(database_url: str) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(writing(database_url)) for _ in range(2)]
        begin(*processes)
        committed = [key for process in processes for key in rest(process)]

    assert sorted(committed) == ALL
    assert stored(database_url) == ALL


def test_what_a_process_that_is_killed_had_answered_is_stored(database_url: str) -> None:
    with writing(database_url) as process:
        begin(process)
        assert process.stdout is not None
        committed = {process.stdout.readline().strip() for _ in range(20)}
        process.kill()
        committed |= {key for key in rest(process) if len(key) == len(ALL[0])}

    assert committed <= set(stored(database_url))
