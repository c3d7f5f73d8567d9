"""The database's schema: one file a step (``versions``), which alembic applies in order.

A released step is never changed. A test compares the tables that the steps make with ``tables.metadata``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, update

from ..tables import metadata

SCRIPTS = Path(__file__).parent

_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


class SchemaForeign(Exception):
    """Another program made the database: it has a table with one of our names, which is the exception's text."""


class SchemaTooNew(Exception):
    """A newer server migrated the database; its revision is the exception's text."""


def head() -> str:
    """Return the newest revision."""
    return _script().get_current_head() or ""


def revisions() -> set[str]:
    """Return every revision that this version knows."""
    return {step.revision for step in _script().walk_revisions()}


def revision_of(connection: Connection) -> str | None:
    """Return the database's revision, ``None`` for an empty database. Raises ``SchemaForeign``."""
    names = set(inspect(connection).get_table_names())
    if _version.name in names:
        revision: str = connection.execute(select(_version.c.version_num)).scalar_one()
        return revision
    if ours := sorted(metadata.tables.keys() & names):
        raise SchemaForeign(ours[0])
    return None


def rewrite_revision(connection: Connection) -> None:
    """Write the database's revision, as it is: a write that every database takes, and that changes nothing."""
    connection.execute(update(_version).values(version_num=_version.c.version_num))


def upgrade(connection: Connection) -> tuple[str | None, str]:
    """Apply the steps that the database lacks, in the caller's transaction; return the revisions before and after.

    The caller holds the database's write lock, so that of several servers that start one migrates. Raises
    ``SchemaTooNew``, ``SchemaForeign``.
    """
    before, after = revision_of(connection), head()
    if before is not None and before not in revisions():
        raise SchemaTooNew(before)
    context = MigrationContext.configure(connection)
    with Operations.context(context):
        for step in reversed(list(_script().walk_revisions(before or "base", after))):
            if step.revision != before:
                step.module.upgrade()
    if before != after:
        context.stamp(_script(), after)
    return before, after


@cache
def _script() -> ScriptDirectory:
    return ScriptDirectory(SCRIPTS)
