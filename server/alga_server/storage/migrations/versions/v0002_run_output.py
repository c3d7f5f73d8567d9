"""What a failed run logged and answered is kept with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; runs that ended before have none of it."""
    for name in ("guest_log", "response_body"):
        op.add_column("tenant_extension_schedule_run", sa.Column(name, sa.Text(), nullable=True))
