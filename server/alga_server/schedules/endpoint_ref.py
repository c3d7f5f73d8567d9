"""How a schedule names its endpoint: ``/path`` or ``METHOD /path`` (alga-contract 5.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from alga_common.routing import EndpointT, schedulable
from alga_common.wire import MAX_SELECTOR
from alga_runner.models import EndpointInfo

from ..errors import FieldRefused
from ..storage import tables

_METHOD_AND_PATH = re.compile(r"([A-Za-z]+)\s+(\S.*)", re.DOTALL)
_NOT_FOUND = "Endpoint not found or not schedulable"
_OF_VERSION = select(tables.endpoint).where(tables.endpoint.c.version_id == bindparam("version"))


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed selector: ``method`` is upper case, ``None`` when none was given; ``path`` has a leading slash."""

    method: str | None
    path: str

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read ``text``. Raises ``FieldRefused`` if it cannot name an endpoint."""
        trimmed = text.strip()
        if not trimmed or len(trimmed) > MAX_SELECTOR:
            raise FieldRefused(_NOT_FOUND)
        match = _METHOD_AND_PATH.fullmatch(trimmed)
        method, path = (match[1].upper(), match[2]) if match else (None, trimmed)
        return cls(method, clean_path(path))

    def choose(self, endpoints: Iterable[EndpointT]) -> EndpointT:
        """The one endpoint meant. Raises ``FieldRefused`` for no endpoint, or more than one."""
        matching = [
            endpoint
            for endpoint in endpoints
            if endpoint.path == self.path
            and self.method in (None, endpoint.method)
            and schedulable(endpoint.method, endpoint.path)
        ]
        if len(matching) > 1:
            raise FieldRefused(
                f'Endpoint {self.path} answers GET and POST; choose with "GET {self.path}" or "POST {self.path}"'
            )
        if not matching:
            raise FieldRefused(_NOT_FOUND)
        return matching[0]


def clean_path(path: str) -> str:
    """``path`` trimmed, with one leading slash and no doubled ones."""
    return re.sub(r"/{2,}", "/", "/" + path.strip())


def endpoints(connection: Connection, version_id: str) -> list[EndpointInfo]:
    """The endpoints of a version, ordered by path, then method."""
    of_version = connection.execute(_OF_VERSION, {"version": version_id})
    # Not the database's order, which may be a language's.
    rows = sorted(of_version, key=lambda row: (row.path, row.method))
    return [
        EndpointInfo(
            id=row.id,
            method=row.method,
            path=row.path,
            handler=row.handler,
            schedulable=schedulable(row.method, row.path),
        )
        for row in rows
    ]
