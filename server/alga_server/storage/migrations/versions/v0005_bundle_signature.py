"""A bundle's signature is kept with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; bundles that were published before have none."""
    op.add_column("extension_bundle", sa.Column("signature", sa.LargeBinary(), nullable=True))
