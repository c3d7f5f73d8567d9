"""Rows of one install, named by parameters, so that the statements about them are built once.

SQLAlchemy takes several times as long to build a statement, and to find its text, as the database takes to run it.
"""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Table, and_, bindparam


def of_install(table: Table) -> ColumnElement[bool]:
    """The condition that a row of ``table`` is the install's that the parameters of ``place`` name."""
    return and_(table.c.tenant_id == bindparam("of_tenant"), table.c.install_id == bindparam("of_install"))


def place(tenant_id: str, install_id: str) -> dict[str, object]:
    """The parameters of ``of_install``."""
    return {"of_tenant": tenant_id, "of_install": install_id}


def owned_key(table: Table, name: str) -> dict[str, Column[str]]:
    """The columns that name one row of an install, by their parameters: those of ``place``, and ``name`` for its id."""
    return {"of_tenant": table.c.tenant_id, "of_install": table.c.install_id, name: table.c.id}
