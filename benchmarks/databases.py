"""Empty databases: SQLite files, or databases of a PostgreSQL server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, make_url

POSTGRES = os.environ.get("ALGA_BENCH_POSTGRES") or None
"""The URL of a PostgreSQL server to measure; ``make bench-postgres`` starts one."""


@contextmanager
def empty_database(postgres: str | None = None) -> Iterator[str]:
    """The URL of a database that is gone afterwards: on the server at the URL ``postgres``, or else a SQLite file."""
    if postgres is None:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'alga.db'}"
        return
    name = f"bench_{uuid4().hex}"
    server = make_url(postgres).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
            try:
                yield server.set(database=name).render_as_string(hide_password=False)
            finally:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        engine.dispose()
