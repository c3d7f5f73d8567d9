"""The tables as they were when migrations began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "extension_bundle",
        sa.Column("content_hash", sa.String(length=71), nullable=False),
        sa.Column("archive", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("content_hash"),
    )
    op.create_table(
        "extension_registry",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("publisher", sa.String(length=256), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("publisher", "name", name="extension_registry_publisher_name_uniq"),
    )
    op.create_table(
        "server_secret",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", "generation"),
    )
    op.create_table(
        "extension_version",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("extension_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(length=71), nullable=False),
        sa.Column("capabilities", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["content_hash"], ["extension_bundle.content_hash"], ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["extension_id"], ["extension_registry.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("extension_id", "version", name="extension_version_extension_version_uniq"),
    )
    op.create_table(
        "extension_api_endpoint",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("version_id", sa.String(length=36), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["extension_version.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "version_id", "method", "path", name="extension_api_endpoint_version_method_path_uniq"
        ),
    )
    op.create_table(
        "tenant_extension_install",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("extension_id", sa.String(length=36), nullable=False),
        sa.Column("version_id", sa.String(length=36), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["extension_id"], ["extension_registry.id"], ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["version_id"], ["extension_version.id"], ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "tenant_id", "extension_id", name="tenant_extension_install_tenant_extension_uniq"
        ),
        sa.UniqueConstraint("tenant_id", "id", name="tenant_extension_install_tenant_id_uniq"),
    )
    op.create_table(
        "tenant_extension_grant",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("install_id", sa.String(length=36), nullable=False),
        sa.Column("capability", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "install_id"],
            ["tenant_extension_install.tenant_id", "tenant_extension_install.id"],
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "install_id", "capability"),
    )
    op.create_table(
        "tenant_extension_schedule",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("install_id", sa.String(length=36), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=True),
        sa.Column("cron", sa.String(length=128), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("next_run_at", sa.DateTime(), nullable=True),
        sa.Column("next_nominal_time", sa.String(length=40), nullable=True),
        sa.Column("last_run_at", sa.DateTime(), nullable=True),
        sa.Column("last_run_status", sa.String(length=32), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["extension_api_endpoint.id"], ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "install_id"],
            ["tenant_extension_install.tenant_id", "tenant_extension_install.id"],
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("install_id", "name", name="tenant_extension_schedule_install_name_uniq"),
        sa.UniqueConstraint("install_id", "ordinal", name="tenant_extension_schedule_install_ordinal_uniq"),
    )
    op.create_index(
        "tenant_extension_schedule_endpoint_idx", "tenant_extension_schedule", ["endpoint_id"], unique=False
    )
    op.create_index(
        "tenant_extension_schedule_next_run_idx", "tenant_extension_schedule", ["next_run_at"], unique=False
    )
    op.create_index(
        "tenant_extension_schedule_tenant_install_idx",
        "tenant_extension_schedule",
        ["tenant_id", "install_id"],
        unique=False,
    )
    op.create_table(
        "tenant_extension_schedule_run",
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("install_id", sa.String(length=36), nullable=False),
        sa.Column("schedule_id", sa.String(length=36), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("nominal_time", sa.String(length=40), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("worker_id", sa.String(length=36), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(), nullable=True),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "install_id"],
            ["tenant_extension_install.tenant_id", "tenant_extension_install.id"],
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("ordinal"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint(
            "schedule_id",
            "trigger",
            "nominal_time",
            "attempt",
            name="tenant_extension_schedule_run_once_uniq",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "tenant_extension_schedule_run_install_idx",
        "tenant_extension_schedule_run",
        ["tenant_id", "install_id", "ordinal"],
        unique=False,
    )
    op.create_index(
        "tenant_extension_schedule_run_lease_idx",
        "tenant_extension_schedule_run",
        ["lease_expires_at"],
        unique=False,
    )
    op.create_index(
        "tenant_extension_schedule_run_running_uniq",
        "tenant_extension_schedule_run",
        ["schedule_id"],
        unique=True,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "tenant_extension_schedule_run_schedule_idx",
        "tenant_extension_schedule_run",
        ["schedule_id", "ordinal"],
        unique=False,
    )
