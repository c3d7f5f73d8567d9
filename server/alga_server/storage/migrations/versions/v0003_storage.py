"""Extensions store values."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tenant_extension_storage_namespace",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("install_id", sa.String(length=36), nullable=False),
        sa.Column("namespace", _bytewise(128), nullable=False),
        sa.Column("record_count", sa.Integer(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        _owner(),
        sa.PrimaryKeyConstraint("tenant_id", "install_id", "namespace"),
    )
    op.create_table(
        "tenant_extension_storage_record",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("install_id", sa.String(length=36), nullable=False),
        sa.Column("namespace", _bytewise(128), nullable=False),
        sa.Column("key", _bytewise(256), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        _owner(),
        sa.PrimaryKeyConstraint("tenant_id", "install_id", "namespace", "key"),
    )
    for name, columns in {
        "tenant_extension_storage_record_expires_idx": ["expires_at"],
        "tenant_extension_storage_record_install_expires_idx": ["tenant_id", "install_id", "expires_at"],
    }.items():
        op.create_index(name, "tenant_extension_storage_record", columns)


def _bytewise(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _owner() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "install_id"],
        ["tenant_extension_install.tenant_id", "tenant_extension_install.id"],
        ondelete="CASCADE",
    )
