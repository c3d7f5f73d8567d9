"""How each kind of Alga server is asked: its routes, its documents, and what it understands of a schedule.

``alga`` is Alga's own server: one POST per install, the operation in the document (alga-contract 4).
``prd`` has one POST per operation (docs/scheduling.md, "How runners ask"); the reference server answers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote

from ..models import CreateScheduleInput, UpdateScheduleInput


class Dialect(Protocol):
    """The route and the document of a host call; answers are read alike in every dialect (``answers``).

    ``operation`` is ``list``, ``get``, ``create``, ``update``, ``delete`` or ``getEndpoints``.
    """

    members: frozenset[str]
    """What the server understands of a schedule that is created or changed, camelCase; it ignores other members."""
    cleared_when_absent: frozenset[str]
    """Members that an update without them clears, so that each update has to carry them."""
    stores_arrays: bool
    """Whether a payload may be an array."""

    def path(self, operation: str, install_id: str, /) -> str:
        """The route below the base URL, percent-encoded."""

    def document(self, operation: str, members: Mapping[str, object], /) -> dict[str, object]:
        """The request's JSON document; ``members`` are camelCase."""


class AlgaDialect(Dialect):
    """``POST {base}/api/internal/ext-scheduler/install/{installId}`` with ``{"operation": ...}``."""

    members = frozenset({"endpoint", "cron", "timezone", "enabled", "name", "payload"})  # alga-contract 4
    cleared_when_absent = frozenset({"name", "payload"})  # alga-contract 7, fault 28
    stores_arrays = False  # alga-contract 7, fault 31

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

    members = frozenset(
        field.alias or name
        for model in (CreateScheduleInput, UpdateScheduleInput)
        for name, field in model.model_fields.items()
        if name != "schedule_id"
    )
    cleared_when_absent = frozenset[str]()
    stores_arrays = True

    def path(self, operation: str, install_id: str, /) -> str:
        """The operation's route."""
        return f"/api/internal/extensions/scheduler/{_SEGMENTS.get(operation, operation)}"

    def document(self, operation: str, members: Mapping[str, object], /) -> dict[str, object]:
        """``members``."""
        return dict(members)


DIALECTS: dict[str, Dialect] = {"alga": AlgaDialect(), "prd": PrdDialect()}
"""Dialects by their names in the setting ``server_dialect``."""
