"""Runs are numbered in 64 bits, on PostgreSQL too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TABLE = "tenant_extension_schedule_run"


def upgrade() -> None:
    """Widen the number and its sequence. SQLite's integers have 64 bits as they are."""
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(_TABLE, "ordinal", type_=sa.BigInteger(), existing_type=sa.Integer())
        op.execute(f"ALTER SEQUENCE {_TABLE}_ordinal_seq AS bigint")
