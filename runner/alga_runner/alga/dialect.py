"""The seam between what the runner asks and how one kind of Alga server wants to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Dialect(Protocol):
    """Where a host call goes and what it says; answers are read alike whatever the dialect (``answers``).

    ``operation`` is ``list``, ``get``, ``create``, ``update``, ``delete`` or ``getEndpoints``.
    """

    def path(self, operation: str, install_id: str, /) -> str:
        """The route below the base URL, percent-encoded."""

    def document(self, operation: str, members: Mapping[str, object], /) -> dict[str, object]:
        """The request's JSON document; ``members`` are camelCase."""
