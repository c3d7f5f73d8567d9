"""The route that Alga's server ships: one POST per install, the operation in the document (alga-contract 4)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from .dialect import Dialect


class AlgaDialect(Dialect):
    """``POST {base}/api/internal/ext-scheduler/install/{installId}`` with ``{"operation": ...}``."""

    def path(self, operation: str, install_id: str, /) -> str:
        """The install's route."""
        encoded = quote(install_id, safe="")
        if encoded in {".", ".."}:  # the only segments that mean another place as they stand
            encoded = encoded.replace(".", "%2E")
        return f"/api/internal/ext-scheduler/install/{encoded}"

    def document(self, operation: str, members: Mapping[str, object], /) -> dict[str, object]:
        """``members`` and the operation."""
        return {**members, "operation": operation}
