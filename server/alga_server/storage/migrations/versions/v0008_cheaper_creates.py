"""An install's row has the state of its rate, which had a table of its own; old idempotency keys are found by age."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_INSTALL, _RATE = "tenant_extension_install", "tenant_extension_schedule_rate"
_CREATION = "tenant_extension_schedule_creation"


def upgrade() -> None:
    """Add the column, fill it from the table, and drop that; replace the index."""
    op.add_column(_INSTALL, sa.Column("rate_arrival_at", sa.DateTime()))
    names = ("tenant_id", "install_id", "id", "rate_arrival_at", "arrival_at")
    install, rate = (sa.table(name, *map(sa.column, names)) for name in (_INSTALL, _RATE))
    arrival = (
        sa.select(rate.c.arrival_at)
        .where(rate.c.tenant_id == install.c.tenant_id, rate.c.install_id == install.c.id)
        .scalar_subquery()
    )
    op.execute(sa.update(install).values(rate_arrival_at=arrival))
    op.drop_table(_RATE)
    op.drop_index(f"{_CREATION}_created_idx", _CREATION)
    op.create_index(f"{_CREATION}_created_idx", _CREATION, ["created_at"])
