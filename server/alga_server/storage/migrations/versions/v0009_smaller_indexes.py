"""Schedules without an attempt that waits, and runs that have ended, are in no index of such times."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_SCHEDULE = "tenant_extension_schedule"
_PARTIAL = {
    (_SCHEDULE, f"{_SCHEDULE}_retry_idx"): "retry_at",
    (f"{_SCHEDULE}_run", f"{_SCHEDULE}_run_lease_idx"): "lease_expires_at",
}


def upgrade() -> None:
    """Replace the two indexes by partial ones."""
    for (table, index), column in _PARTIAL.items():
        there = sa.text(f"{column} IS NOT NULL")
        op.drop_index(index, table)
        op.create_index(index, table, [column], sqlite_where=there, postgresql_where=there)
