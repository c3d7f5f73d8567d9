"""What the Alga server takes on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from ..databases import POSTGRES
from ..figures import Result
from ..part import Effort, Part
from . import server

_KEYS = tuple(f"server_postgres.{name}" for name in server.NAMES)


def run(effort: Effort) -> Sequence[Result]:
    """As ``server`` does; without a server there are no values."""
    if POSTGRES is None:
        why = "ALGA_BENCH_POSTGRES names no server; make bench-postgres starts one"
        return [Result(key, None, note=why) for key in _KEYS]
    return server.measured(effort, "server_postgres", POSTGRES)


PART = Part("server_postgres", _KEYS, (), run)
