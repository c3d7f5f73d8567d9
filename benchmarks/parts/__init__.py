"""The parts of the benchmark, in the order in which they run."""

from __future__ import annotations

from ..part import Part
from . import compile as compile_
from . import (
    component,
    execute,
    fairness,
    flood,
    growth,
    hostcall,
    hostcall_http,
    http,
    http_hostcall,
    leak,
    scale,
    sdk,
    server,
    server_postgres,
    shares,
    shares_runner,
    suspended,
)

PARTS: tuple[Part, ...] = (
    execute.PART,
    hostcall.PART,
    sdk.PART,
    hostcall_http.PART,
    suspended.PART,
    fairness.PART,
    compile_.PART,
    flood.PART,
    shares.PART,
    shares_runner.PART,
    component.PART,
    scale.PART,
    growth.PART,
    http.PART,
    http_hostcall.PART,
    leak.PART,
    server.PART,
    server_postgres.PART,
)
