"""The routes that the requirements name: one POST per operation (PRD, "Internal API")."""

from __future__ import annotations

from collections.abc import Mapping

from .dialect import Dialect

_SEGMENTS = {"getEndpoints": "get-endpoints"}


class PrdDialect(Dialect):
    """``POST {base}/api/internal/extensions/scheduler/{operation}``; the headers alone say for which install."""

    def path(self, operation: str, install_id: str, /) -> str:
        """The operation's route."""
        return f"/api/internal/extensions/scheduler/{_SEGMENTS.get(operation, operation)}"

    def document(self, operation: str, members: Mapping[str, object], /) -> dict[str, object]:
        """``members``."""
        return dict(members)
