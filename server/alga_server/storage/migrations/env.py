"""What alembic runs to walk the steps: on the connection, and in the transaction, that it was given."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    # SQLite cannot change most of a table in place: alembic copies it.
    render_as_batch=True,
)
context.run_migrations()
