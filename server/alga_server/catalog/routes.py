"""The endpoints of versions, ready for requests: read from the database once, since a version never changes."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from threading import Lock

from sqlalchemy import Connection

from alga_common.routing import Routes
from alga_runner.models import EndpointInfo

from ..schedules.endpoint_ref import endpoints

MAX_BYTES = 32 * 1024 * 1024
"""Of all versions that are kept: thousands, or the four whose manifests are the largest."""

_ENDPOINT_BYTES = 4_096
_PATH_COPIES = 4


class VersionRoutes:
    """The endpoints of one version: to match a path, and as the answer to ``get-endpoints``."""

    def __init__(self, declared: Sequence[EndpointInfo]) -> None:
        self._declared = declared
        self.routes = Routes(declared)
        self.weight = sum(
            _ENDPOINT_BYTES + _PATH_COPIES * (len(endpoint.path) + len(endpoint.handler))
            for endpoint in declared
        )
        """Bytes of it, roughly."""

    @cached_property
    def answer(self) -> bytes:
        """The endpoints as an object in JSON."""
        listed = [endpoint.model_dump(by_alias=True) for endpoint in self._declared]
        return json.dumps({"endpoints": listed}, separators=(",", ":")).encode("ascii")


class RouteCache:
    """Keeps the routes of the versions that were asked for last, up to ``max_bytes``. For any thread."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, VersionRoutes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def of(self, connection: Connection, version_id: str) -> VersionRoutes:
        """Return the routes of a version; ``connection`` reads those that are not kept."""
        with self._lock:
            if (kept := self._kept.get(version_id)) is not None:
                self._kept.move_to_end(version_id)
                return kept
        read = VersionRoutes(endpoints(connection, version_id))
        with self._lock:
            if version_id not in self._kept:
                self._kept[version_id] = read
                self._bytes += read.weight
            while self._bytes > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= dropped.weight
        return read
