"""How each kind of Alga server is asked: the routes and documents of its requests.

``alga`` is the route that Alga's server ships: one POST per install, the operation in the document (alga-contract 4).
``prd`` has one POST per operation (docs/scheduling.md, "How runners ask").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote


class Dialect(Protocol):
    """The route and the document of a host call; answers are read alike in every dialect (``answers``).

    ``operation`` is ``list``, ``get``, ``create``, ``update``, ``delete`` or ``getEndpoints``.
    """

    def path(self, operation: str, install_id: str, /) -> str:
        """The route below the base URL, percent-encoded."""

    def document(self, operation: str, members: Mapping[str, object], /) -> dict[str, object]:
        """The request's JSON document; ``members`` are camelCase."""


class AlgaDialect(Dialect):
    """``POST {base}/api/internal/ext-scheduler/install/{installId}`` with ``{"operation": ...}``."""

    def path(self, operation: str, install_id: str, /) -> str:
        """The install's route."""
        encoded = quote(install_id, safe="")
        if encoded in {".", ".."}:  # the only segments that would name another path
            encoded = encoded.replace(".", "%2E")
        return f"/api/internal/ext-scheduler/install/{encoded}"

    def document(self, operation: str, members: Mapping[str, object], /) -> dict[str, object]:
        """``members`` and the operation."""
        return {**members, "operation": operation}


_SEGMENTS = {"getEndpoints": "get-endpoints"}


class PrdDialect(Dialect):
    """``POST {base}/api/internal/extensions/scheduler/{operation}``; the headers alone say for which install."""

    def path(self, operation: str, install_id: str, /) -> str:
        """The operation's route."""
        return f"/api/internal/extensions/scheduler/{_SEGMENTS.get(operation, operation)}"

    def document(self, operation: str, members: Mapping[str, object], /) -> dict[str, object]:
        """``members``."""
        return dict(members)


DIALECTS: dict[str, Dialect] = {"alga": AlgaDialect(), "prd": PrdDialect()}
"""Dialects by their names in the setting ``server_dialect``."""
