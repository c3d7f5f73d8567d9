"""Due schedules are found in their order of firing without sorting them, and by tenant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TABLE = "tenant_extension_schedule"


def upgrade() -> None:
    """Replace the index of next times, and add those by tenant, of schedules that have such a time alone."""
    op.drop_index(f"{_TABLE}_next_run_idx", _TABLE)
    op.create_index(f"{_TABLE}_due_idx", _TABLE, ["next_run_at", "ordinal", "id"])
    for name, column in {"due": "next_run_at", "retry": "retry_at"}.items():
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"{_TABLE}_tenant_{name}_idx",
            _TABLE,
            ["tenant_id", column],
            sqlite_where=there,
            postgresql_where=there,
        )
