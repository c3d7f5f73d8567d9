"""What became of one execution."""

from __future__ import annotations

from typing import NamedTuple

from ..capabilities import HostCallRecord, LogLine
from ..errors import AlgaError
from ..models import ExecuteResponse


class Observation(NamedTuple):
    """One execution as it went: a response or an error, the guest's log, and every host call."""

    response: ExecuteResponse | None
    error: AlgaError | None
    log: tuple[LogLine, ...]
    host_calls: tuple[HostCallRecord, ...]
    duration_s: float
    fuel: int | None = None
    """The request's ``limits.fuel``: recorded, and without effect. ``cpu_ms`` bounds computing."""
    dropped_headers: tuple[str, ...] = ()
    """Names of the guest's headers that the gateway did not forward to its caller, in a call through one."""
    signer: str | None = None
    """Who signed the bundle, where signatures are verified."""
    system_calls: int = 0
    """How often the guest called functions of the host that are not Alga's: clocks, random bytes, mathematics."""
    given_headers: tuple[tuple[str, str], ...] = ()
    """Name and value of each of the guest's headers, in order, forwarded or not, in a call through a gateway."""

    def unwrap(self) -> ExecuteResponse:
        """Return the response. Raises the error."""
        if self.response is None:
            raise self.error or AlgaError
        return self.response
