"""The database's schema, one step a file (``versions``), and walking them up (alembic).

A step is never changed once it has landed. A test compares where they lead with ``tables.metadata``.
"""

from __future__ import annotations

from .walk import SchemaForeign, SchemaTooNew, head, revision_of, upgrade

__all__ = ["SchemaForeign", "SchemaTooNew", "head", "revision_of", "upgrade"]
