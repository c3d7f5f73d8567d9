"""The server's tables. Names follow Alga's own where it has them (alga-contract 5.6); unlike there, keys are real.

Ids are UUID text. Instants are stored as UTC. Rows of a tenant carry ``tenant_id``, and refer to their
install by ``(tenant_id, install_id)``, so that no row can belong to one tenant and to another's install.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class Instant(TypeDecorator[datetime]):
    """An aware instant, kept as naive UTC, which every database orders the same."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To naive UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Back to an aware instant."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()

extension = Table(
    "extension_registry",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("publisher", String(256), nullable=False),
    Column("name", String(256), nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("publisher", "name", name="extension_registry_publisher_name_uniq"),
)

bundle = Table(
    "extension_bundle",
    metadata,
    Column("content_hash", String(71), primary_key=True),
    Column("archive", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signature", LargeBinary),
)

version = Table(
    "extension_version",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("extension_id", ForeignKey("extension_registry.id", ondelete="CASCADE"), nullable=False),
    Column("version", String(128), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("content_hash", ForeignKey("extension_bundle.content_hash", ondelete="RESTRICT"), nullable=False),
    Column("capabilities", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("extension_id", "version", name="extension_version_extension_version_uniq"),
)

endpoint = Table(
    "extension_api_endpoint",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("version_id", ForeignKey("extension_version.id", ondelete="CASCADE"), nullable=False),
    Column("method", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("handler", Text, nullable=False),
    UniqueConstraint("version_id", "method", "path", name="extension_api_endpoint_version_method_path_uniq"),
)

install = Table(
    "tenant_extension_install",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant_id", String(128), nullable=False),
    Column("extension_id", ForeignKey("extension_registry.id", ondelete="RESTRICT"), nullable=False),
    Column("version_id", ForeignKey("extension_version.id", ondelete="RESTRICT"), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("config", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    # How far ahead changes of its schedules are counted.
    Column("rate_arrival_at", Instant),
    UniqueConstraint("tenant_id", "extension_id", name="tenant_extension_install_tenant_extension_uniq"),
    UniqueConstraint("tenant_id", "id", name="tenant_extension_install_tenant_id_uniq"),
)


def _owner() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", "install_id"],
        ["tenant_extension_install.tenant_id", "tenant_extension_install.id"],
        ondelete="CASCADE",
    )


def _index_of_set(name: str, *columns: str) -> Index:
    """An index of the rows in which the last of the columns is set: the others cost a change nothing."""
    there = text(f"{columns[-1]} IS NOT NULL")
    return Index(name, *columns, sqlite_where=there, postgresql_where=there)


def _bytewise(length: int) -> String:
    """Text in the order of its code points, on every database."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


grant = Table(
    "tenant_extension_grant",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("install_id", String(36), primary_key=True),
    Column("capability", String(128), primary_key=True),
    _owner(),
)

schedule = Table(
    "tenant_extension_schedule",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant_id", String(128), nullable=False),
    Column("install_id", String(36), nullable=False),
    Column("ordinal", Integer, nullable=False),
    # RESTRICT: an endpoint cannot vanish under a schedule, while foreign keys are on.
    Column("endpoint_id", ForeignKey("extension_api_endpoint.id", ondelete="RESTRICT"), nullable=False),
    Column("name", String(128)),
    Column("cron", String(128), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("payload", JSON(none_as_null=True)),
    Column("trigger", String(16), nullable=False),
    Column("missed_policy", String(8), nullable=False, server_default="latest"),
    Column("missed_window_s", Integer),
    Column("max_attempts", Integer, nullable=False, server_default="1"),
    Column("retry_delay_s", Integer, nullable=False, server_default="60"),
    Column("retry_factor", Integer, nullable=False, server_default="2"),
    # All or none: the attempt that waits for its time.
    Column("retry_at", Instant),
    Column("retry_attempt", Integer),
    Column("retry_nominal_time", String(40)),
    Column("retry_due_at", Instant),
    # Both or neither: what a disabled schedule, or one of a disabled install, has not.
    Column("next_run_at", Instant),
    Column("next_nominal_time", String(40)),
    Column("last_run_at", Instant),
    Column("last_run_status", String(32)),
    Column("last_error", Text),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    _owner(),
    UniqueConstraint("install_id", "name", name="tenant_extension_schedule_install_name_uniq"),
    UniqueConstraint("install_id", "ordinal", name="tenant_extension_schedule_install_ordinal_uniq"),
    Index("tenant_extension_schedule_tenant_install_idx", "tenant_id", "install_id"),
    Index("tenant_extension_schedule_endpoint_idx", "endpoint_id"),
    Index("tenant_extension_schedule_due_idx", "next_run_at", "ordinal", "id"),
    _index_of_set("tenant_extension_schedule_retry_idx", "retry_at"),
    _index_of_set("tenant_extension_schedule_tenant_due_idx", "tenant_id", "next_run_at"),
    _index_of_set("tenant_extension_schedule_tenant_retry_idx", "tenant_id", "retry_at"),
)

schedule_run = Table(
    "tenant_extension_schedule_run",
    metadata,
    # SQLite counts by itself in a column of this type alone, and its integers have 64 bits in any case.
    Column("ordinal", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("tenant_id", String(128), nullable=False),
    Column("install_id", String(36), nullable=False),
    # No key: history outlives the schedule, and goes with the install.
    Column("schedule_id", String(36), nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("nominal_time", String(40), nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(32)),
    Column("missed", Integer, nullable=False),
    Column("http_status", Integer),
    Column("error_code", String(64)),
    Column("error_message", Text),
    # The ends of what a failed run's guest logged and answered.
    Column("guest_log", Text),
    Column("response_body", Text),
    Column("request_id", String(36), nullable=False),
    Column("worker_id", String(36), nullable=False),
    Column("lease_expires_at", Instant),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("duration_ms", Integer),
    _owner(),
    # The database decides: a nominal time fires once, and a schedule has one run at a time, on any server.
    UniqueConstraint(
        "schedule_id", "trigger", "nominal_time", "attempt", name="tenant_extension_schedule_run_once_uniq"
    ),
    Index(
        "tenant_extension_schedule_run_running_uniq",
        "schedule_id",
        unique=True,
        sqlite_where=text("status = 'running'"),
        postgresql_where=text("status = 'running'"),
    ),
    Index("tenant_extension_schedule_run_install_idx", "tenant_id", "install_id", "ordinal"),
    Index("tenant_extension_schedule_run_schedule_idx", "schedule_id", "ordinal"),
    _index_of_set("tenant_extension_schedule_run_lease_idx", "lease_expires_at"),
    sqlite_autoincrement=True,
)

# One row: since when some server has looked for due schedules without a gap, and when one last did.
attendance = Table(
    "schedule_attendance",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("since", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
)

server_secret = Table(
    "server_secret",
    metadata,
    Column("name", String(64), primary_key=True),
    # Of several generations the newest signs and all verify; that is the place for a rotation.
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# The creates that carried an idempotency key.

schedule_creation = Table(
    "tenant_extension_schedule_creation",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("install_id", String(36), primary_key=True),
    Column("idempotency_key", String(256), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    # No key: the answer stays the same when the schedule is gone.
    Column("schedule_id", String(36), nullable=False),
    Column("created_at", Instant, nullable=False),
    _owner(),
    Index("tenant_extension_schedule_creation_created_idx", "created_at"),
)

# Values that extensions store. A namespace has a row while it has records, with how much they are.

storage_namespace = Table(
    "tenant_extension_storage_namespace",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("install_id", String(36), primary_key=True),
    Column("namespace", _bytewise(128), primary_key=True),
    Column("record_count", Integer, nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
    _owner(),
)

storage_record = Table(
    "tenant_extension_storage_record",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("install_id", String(36), primary_key=True),
    Column("namespace", _bytewise(128), primary_key=True),
    Column("key", _bytewise(256), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    # JSON in ASCII: every database keeps it as it is.
    Column("value", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("expires_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    _owner(),
    Index("tenant_extension_storage_record_expires_idx", "expires_at"),
    Index("tenant_extension_storage_record_install_expires_idx", "tenant_id", "install_id", "expires_at"),
)

invoice = Table(
    "tenant_extension_invoice",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant_id", String(128), nullable=False),
    # No key: an invoice is the tenant's, and outlives the install that made it.
    Column("install_id", String(36), nullable=False),
    Column("number", Integer, nullable=False),
    Column("client_id", String(36), nullable=False),
    Column("client_name", Text, nullable=False),
    Column("currency", Text),
    Column("invoice_date", String(10), nullable=False),
    Column("due_date", String(10)),
    Column("po_number", Text),
    Column("subtotal", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    # JSON in ASCII.
    Column("items", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("tenant_id", "number", name="tenant_extension_invoice_tenant_number_uniq"),
)
