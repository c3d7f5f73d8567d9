"""From whatever schema a database has to the present one, in the caller's transaction.

Three kinds of database are met: an empty one, which gets today's tables at once; one that was made before there were
migrations, which has the first step's tables; and one that says where it stands.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select
from sqlalchemy import insert as insert_into

from ..tables import metadata
from . import queue

FIRST = "0001"
"""What a database has that was made before there were migrations."""

_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


class SchemaForeign(Exception):
    """The database is another program's: it has a table of a name that is ours. The name is the text."""


class SchemaTooNew(Exception):
    """The database was migrated by a newer server; its revision is the text."""


@cache
def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def head() -> str:
    """The revision of today's tables."""
    return _script().get_current_head() or FIRST


def revision_of(connection: Connection) -> str | None:
    """Where the database stands; ``None`` for an empty one. Raises ``SchemaForeign``."""
    names = inspect(connection).get_table_names()
    if _version.name in names:
        revision: str = connection.execute(select(_version.c.version_num)).scalar_one()
        return revision
    ours = sorted(metadata.tables.keys() & set(names))
    if (
        ours and connection.dialect.name != "sqlite"
    ):  # nowhere else were there tables before there were migrations
        raise SchemaForeign(ours[0])
    return FIRST if "extension_registry" in names else None


def upgrade(connection: Connection) -> tuple[str | None, str]:
    """Walk the database up to ``head()``: from where, to where. Changes nothing if it stands there.

    Whoever calls it holds the database's write lock, so that of several servers that start one migrates. Raises
    ``SchemaTooNew``, ``SchemaForeign``.
    """
    before, target = revision_of(connection), head()
    if before is None:
        metadata.create_all(connection)
        queue.create(connection)
        _stamp(connection, target)
        return before, target
    if before not in {step.revision for step in _script().walk_revisions()}:
        raise SchemaTooNew(before)
    if _version.name not in inspect(connection).get_table_names():
        _stamp(connection, before)
    if before != target:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, target)
    return before, target


def _stamp(connection: Connection, revision: str) -> None:
    _version.create(connection, checkfirst=True)
    connection.execute(insert_into(_version).values(version_num=revision))
