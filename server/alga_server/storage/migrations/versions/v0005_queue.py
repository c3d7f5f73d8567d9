"""The queue of jobs, on PostgreSQL."""

from __future__ import annotations

from alembic import op

from alga_server.storage.migrations import queue

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create its tables and its trigger."""
    queue.create(op.get_bind())
