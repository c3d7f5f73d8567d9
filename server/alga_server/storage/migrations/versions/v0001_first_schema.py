"""The first schema: every table, and on PostgreSQL the job queue with its trigger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from alga_runner.errors import SettingsError

revision = "0001"
down_revision = None

_OWNER = ["tenant_id", "install_id"]
_INSTALL = ["tenant_extension_install.tenant_id", "tenant_extension_install.id"]

# The trigger defers and cancels a schedule's job in the transaction that changes the schedule. It does nothing in
# sessions that do not set ``alga.job_engine``: servers with embedded jobs leave the queue empty.
_JOB_FOLLOWS_SCHEDULE = """
CREATE FUNCTION alga_job_follows_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    which text := COALESCE(NEW.id, OLD.id);
    due_at timestamptz;
BEGIN
    IF current_setting('alga.job_engine', true) IS DISTINCT FROM 'procrastinate' THEN
        RETURN NULL;
    END IF;
    PERFORM procrastinate_cancel_job_v1(id, false, true)
        FROM procrastinate_jobs WHERE queueing_lock = which AND status = 'todo';
    IF TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;
    due_at := LEAST(NEW.next_run_at, NEW.retry_at) AT TIME ZONE 'UTC';
    IF NEW.next_run_at IS NOT NULL THEN
        PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW(
            'alga_schedules', 'alga_server.fire', 0, NULL, which,
            jsonb_build_object(
                'tenant_id', NEW.tenant_id, 'install_id', NEW.install_id, 'schedule_id', NEW.id
            ),
            due_at
        )::procrastinate_job_to_defer_v1]);
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER alga_job_follows_schedule
    AFTER INSERT OR DELETE OR UPDATE OF next_run_at, next_nominal_time, retry_at ON tenant_extension_schedule
    FOR EACH ROW EXECUTE FUNCTION alga_job_follows_schedule();
"""


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
        sa.ForeignKeyConstraint(_OWNER, _INSTALL, ondelete="CASCADE"),
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
        sa.Column("missed_policy", sa.String(length=8), nullable=False, server_default="latest"),
        sa.Column("missed_window_s", sa.Integer(), nullable=True),
        sa.Column("max_attempts", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("retry_delay_s", sa.Integer(), nullable=False, server_default="60"),
        sa.Column("retry_factor", sa.Integer(), nullable=False, server_default="2"),
        sa.Column("retry_at", sa.DateTime(), nullable=True),
        sa.Column("retry_attempt", sa.Integer(), nullable=True),
        sa.Column("retry_nominal_time", sa.String(length=40), nullable=True),
        sa.Column("retry_due_at", sa.DateTime(), nullable=True),
        sa.Column("next_run_at", sa.DateTime(), nullable=True),
        sa.Column("next_nominal_time", sa.String(length=40), nullable=True),
        sa.Column("last_run_at", sa.DateTime(), nullable=True),
        sa.Column("last_run_status", sa.String(length=32), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["extension_api_endpoint.id"], ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(_OWNER, _INSTALL, ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("install_id", "name", name="tenant_extension_schedule_install_name_uniq"),
        sa.UniqueConstraint("install_id", "ordinal", name="tenant_extension_schedule_install_ordinal_uniq"),
    )
    op.create_index("tenant_extension_schedule_endpoint_idx", "tenant_extension_schedule", ["endpoint_id"])
    op.create_index("tenant_extension_schedule_next_run_idx", "tenant_extension_schedule", ["next_run_at"])
    op.create_index("tenant_extension_schedule_retry_idx", "tenant_extension_schedule", ["retry_at"])
    op.create_index(
        "tenant_extension_schedule_tenant_install_idx",
        "tenant_extension_schedule",
        ["tenant_id", "install_id"],
    )
    op.create_table(
        "tenant_extension_schedule_run",
        sa.Column("ordinal", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
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
        sa.ForeignKeyConstraint(_OWNER, _INSTALL, ondelete="CASCADE"),
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
    )
    op.create_index(
        "tenant_extension_schedule_run_lease_idx",
        "tenant_extension_schedule_run",
        ["lease_expires_at"],
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
    )
    op.create_table(
        "tenant_extension_schedule_rate",
        sa.Column("tenant_id", sa.String(length=128), nullable=False),
        sa.Column("install_id", sa.String(length=36), nullable=False),
        sa.Column("arrival_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(_OWNER, _INSTALL, ondelete="CASCADE"),
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
        sa.ForeignKeyConstraint(_OWNER, _INSTALL, ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "install_id", "idempotency_key"),
    )
    op.create_index(
        "tenant_extension_schedule_creation_created_idx",
        "tenant_extension_schedule_creation",
        ["tenant_id", "install_id", "created_at"],
    )
    if op.get_context().dialect.name == "postgresql":
        _create_queue()


def _create_queue() -> None:
    """Create Procrastinate's own schema and the trigger. Raises ``SettingsError`` without Procrastinate."""
    try:
        from procrastinate.schema import SchemaManager  # noqa: PLC0415 - optional
    except ImportError:
        raise SettingsError(
            "The database is PostgreSQL, and a package that the server needs for it is not installed.",
            hint="Install alga-runner with its extra `postgres`, as docs/postgresql.md shows.",
        ) from None
    driver = op.get_bind().connection.driver_connection
    if driver is None:
        raise LookupError("a connection of PostgreSQL has no driver")
    # Without parameters, so that the driver does not read a percent sign as one; in the same transaction.
    driver.execute(SchemaManager.get_schema())
    driver.execute(_JOB_FOLLOWS_SCHEDULE)
