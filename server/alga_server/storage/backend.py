"""A kind of database as the storage uses it: engines, number of concurrent writers, meaning of its errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from alga_runner.errors import SettingsError

from ..errors import DatabaseUnavailable

compact_json = json.JSONEncoder(separators=(",", ":")).encode
"""JSON as it is stored, in ASCII: lists of schedules show their payloads as they are stored."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One database, opened. ``sqlite`` and ``postgres`` make them.

    ``reader`` begins transactions that see one state of the database and change nothing, ``writer`` those that
    change it, of which up to ``readers`` and ``writers`` run concurrently. With ``one_connection``, readers and writer
    share it.
    """

    reader: Engine
    writer: Engine
    readers: int
    reads_together: int
    """How many small reads share a transaction: several where a thread's turn costs more than the database's answer."""
    writers: int
    one_connection: bool
    is_there: Callable[[], bool]
    """Whether there is anything to look at; opening a file that is not there would make it."""
    before_migrating: Callable[[Connection], None]
    """Keeps others that would migrate out until the transaction ends, and checks that it can be used."""
    will_pass: Callable[[DBAPIError], bool]
    """Whether the transaction that met the error did nothing wrong, and may be tried again."""
    trouble: Callable[[DBAPIError], type[DatabaseUnavailable] | None]
    """Which outage of the database the error is, ``None`` for one of the transaction's own."""
    explain: Callable[[SQLAlchemyError], SettingsError]
    """The error to show at the server's start when the database cannot be opened."""
    savepoint: Callable[[Connection], AbstractContextManager[None]] | None
    """Where one writes at a time: changes made within it can be taken back by themselves."""
    warnings: Callable[[], list[str]]
    """Sentences about files that others can open, for the log of the server's start."""
