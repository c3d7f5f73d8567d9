"""What a schedule does about missed times and failed runs, and the attempt of one that waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TABLE = "tenant_extension_schedule"


def upgrade() -> None:
    """Add the columns, with the defaults for schedules that are there, and their index."""
    for column in (
        sa.Column("missed_policy", sa.String(length=8), nullable=False, server_default="latest"),
        sa.Column("missed_window_s", sa.Integer()),
        sa.Column("max_attempts", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("retry_delay_s", sa.Integer(), nullable=False, server_default="60"),
        sa.Column("retry_factor", sa.Integer(), nullable=False, server_default="2"),
        sa.Column("retry_at", sa.DateTime()),
        sa.Column("retry_attempt", sa.Integer()),
        sa.Column("retry_nominal_time", sa.String(length=40)),
        sa.Column("retry_due_at", sa.DateTime()),
    ):
        op.add_column(_TABLE, column)
    op.create_index("tenant_extension_schedule_retry_idx", _TABLE, ["retry_at"])
