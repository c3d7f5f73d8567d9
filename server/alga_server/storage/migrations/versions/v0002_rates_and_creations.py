"""What guards the scheduler API's writes: how often an install writes, and what it created under which key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_INSTALL = ["tenant_extension_install.tenant_id", "tenant_extension_install.id"]


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "tenant_extension_schedule_rate",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("install_id", sa.String(length=36), nullable=False),
        sa.Column("arrival_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "install_id"], _INSTALL, ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "install_id"),
    )
    op.create_table(
        "tenant_extension_schedule_creation",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("install_id", sa.String(length=36), nullable=False),
        sa.Column("idempotency_key", sa.String(length=256), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("schedule_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "install_id"], _INSTALL, ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "install_id", "idempotency_key"),
    )
    op.create_index(
        "tenant_extension_schedule_creation_created_idx",
        "tenant_extension_schedule_creation",
        ["tenant_id", "install_id", "created_at"],
    )
