"""The queue's tables (Procrastinate's own schema) and the trigger by which jobs follow their schedules.

The trigger does nothing in sessions that do not say ``alga.job_engine``: servers with embedded jobs leave no trace in
the queue.
"""

from __future__ import annotations

from sqlalchemy import Connection

from alga_runner.errors import SettingsError

QUEUE = "alga_schedules"
TASK = "alga_server.fire"

_FOLLOW = f"""
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
            '{QUEUE}', '{TASK}', 0, NULL, which,
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


def create(connection: Connection) -> None:
    """Create both, where the database is PostgreSQL. Raises ``SettingsError`` without Procrastinate."""
    if connection.dialect.name != "postgresql":
        return
    try:
        from procrastinate.schema import SchemaManager  # noqa: PLC0415 - optional
    except ImportError:
        raise SettingsError(
            "The database is PostgreSQL, and what a server needs for it is not installed.",
            hint='Install it: pip install "alga-runner[postgres]".',
        ) from None
    driver = connection.connection.driver_connection
    if driver is None:
        raise LookupError("a connection of PostgreSQL has no driver")
    # Without parameters, so that the driver leaves the text alone; in the same transaction.
    driver.execute(SchemaManager.get_schema())
    driver.execute(_FOLLOW)
