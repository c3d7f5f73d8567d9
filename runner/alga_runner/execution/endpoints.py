"""The name of an execution's handler for the log: the endpoint as the manifest declares it."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from alga_common.routing import Routes, split_path

from ..bundles import Bundle
from ..errors import AlgaError

MAX_ENDPOINTS = 200
"""Endpoints of one extension that the log can name; the others' memory would be for the log alone."""

_ENDPOINT_BYTES = 2_048


class DeclaredEndpoint(NamedTuple):
    """One endpoint of a manifest."""

    method: str
    path: str


class DeclaredEndpoints:
    """Finds the declared endpoint of a request, whose own path may hold personal data or secrets."""

    def __init__(self, endpoints: tuple[DeclaredEndpoint, ...] = ()) -> None:
        self._routes = Routes(endpoints)
        self.weight = sum(_ENDPOINT_BYTES + 4 * len(path) for _, path in endpoints)
        """Bytes of it, roughly."""
        self._literal: dict[tuple[str, str], str] = {
            endpoint: f"{endpoint.method} {endpoint.path}" for endpoint in endpoints
        }

    @classmethod
    def of(cls, bundle: Bundle) -> DeclaredEndpoints:
        """Return the endpoints of ``bundle``: none if its manifest cannot be read, which an execution does not need."""
        try:
            declared = islice(bundle.manifest.endpoints, MAX_ENDPOINTS)
            return cls(tuple(DeclaredEndpoint(item.method, item.path) for item in declared))
        except AlgaError:
            return cls()

    def name(self, method: str, path: str) -> str | None:
        """Return ``GET /items/:id`` for ``GET /items/7``; ``None`` for what no endpoint matches."""
        if not self._literal:
            return None
        if literal := self._literal.get((method, path)):
            return literal
        segments = split_path(path.removeprefix("/").encode("utf-8", "surrogatepass"))
        endpoint = None if segments is None else self._routes.matching(segments).get(method)
        return None if endpoint is None else f"{endpoint.method} {endpoint.path}"
