"""How each kind of Alga server is asked: its routes, its documents, and what it understands of a schedule.

``alga`` is Alga's own server: one POST per group and install, the operation in the document (alga-contract 4).
``prd`` has one POST per operation of the scheduler (docs/scheduling.md, "How runners ask"); it has no words for other
groups, which are asked as in ``alga``. The reference server answers both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote

from ..models import CreateScheduleInput, UpdateScheduleInput
from .calls import SCHEDULER, ServerCall


class Dialect(Protocol):
    """The route and the document of a host call; answers are read alike in every dialect (``answers``)."""

    members: frozenset[str]
    """What the server understands of a schedule that is created or changed, camelCase; it ignores other members."""
    cleared_when_absent: frozenset[str]
    """Members that an update without them clears, so that each update has to carry them."""
    stores_arrays: bool
    """Whether a payload may be an array."""
    pages_schedules: bool
    """Whether the server lists schedules page by page if it is asked to."""

    def path(self, call: ServerCall, install_id: str, /) -> str:
        """The route below the base URL, percent-encoded."""

    def document(self, call: ServerCall, members: Mapping[str, object], /) -> dict[str, object]:
        """The request's JSON document; ``members`` are camelCase."""


class AlgaDialect(Dialect):
    """``POST {base}/api/internal/ext-{group}/install/{installId}`` with ``{"operation": ...}``."""

    members = frozenset({"endpoint", "cron", "timezone", "enabled", "name", "payload"})  # alga-contract 4
    cleared_when_absent = frozenset({"name", "payload"})  # alga-contract 7, fault 28
    stores_arrays = False  # alga-contract 7, fault 31
    pages_schedules = False

    def path(self, call: ServerCall, install_id: str, /) -> str:
        """The install's route."""
        encoded = quote(install_id, safe="")
        if encoded in {".", ".."}:  # the only segments that would name another path
            encoded = encoded.replace(".", "%2E")
        return f"/api/internal/ext-{call.group}/install/{encoded}"

    def document(self, call: ServerCall, members: Mapping[str, object], /) -> dict[str, object]:
        """``members`` and the operation."""
        return {**members, "operation": call.operation}


_SEGMENTS = {"getEndpoints": "get-endpoints"}


class PrdDialect(AlgaDialect):
    """``POST {base}/api/internal/extensions/scheduler/{operation}``; the headers alone say for which install."""

    members = frozenset(
        field.alias or name
        for model in (CreateScheduleInput, UpdateScheduleInput)
        for name, field in model.model_fields.items()
        if name != "schedule_id"
    )
    cleared_when_absent = frozenset[str]()
    stores_arrays = True
    pages_schedules = True

    def path(self, call: ServerCall, install_id: str, /) -> str:
        """The operation's route."""
        if call.group != SCHEDULER:
            return super().path(call, install_id)
        return f"/api/internal/extensions/scheduler/{_SEGMENTS.get(call.operation, call.operation)}"

    def document(self, call: ServerCall, members: Mapping[str, object], /) -> dict[str, object]:
        """``members``."""
        return dict(members) if call.group == SCHEDULER else super().document(call, members)


DIALECTS: dict[str, Dialect] = {"alga": AlgaDialect(), "prd": PrdDialect()}
"""Dialects by their names in the setting ``server_dialect``."""
