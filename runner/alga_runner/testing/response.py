"""The outcome of one execution, for assertions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx

from ..capabilities import HostCallRecord, LogLine
from ..errors import AlgaError
from ..execution.observation import Observation
from ..models import ExecuteResponse
from .explain import add_notes

LOG_EMIT = "log.emit"
"""The host call that writes the log; it is shown as a log line, not as a host call."""


class Response:
    """The response of a handler, or the error it ended with, and the guest's log lines and host calls.

        response = ext.call("GET", "/items", check=False)
        assert response.error is None
        assert response.json() == []

    If there is an ``error``, every attribute of the response raises it.
    """

    error: AlgaError | None
    log: list[LogLine]
    host_calls: list[HostCallRecord]
    """Every host call but those that write the log, numbered in order from 1."""

    def __init__(self, observation: Observation, call: str) -> None:
        """``call`` names the call, in words."""
        self._call = call
        self.error = observation.error
        self.log = list(observation.log)
        calls = (call for call in observation.host_calls if call.operation != LOG_EMIT)
        self.host_calls = [
            replace(host_call, number=number) for number, host_call in enumerate(calls, start=1)
        ]
        self._response = observation.response

    def __repr__(self) -> str:
        return f"<Response {self.error.code if self.error else self.status} of {self._call}>"

    @property
    def status(self) -> int:
        """The HTTP status."""
        __tracebackhide__ = True
        return self._given().status

    @property
    def headers(self) -> httpx.Headers:
        """The headers; a name matches in any case. ``get_list`` has each value of a name that is repeated."""
        __tracebackhide__ = True
        return httpx.Headers(list(self._given().header_pairs()))

    @property
    def body(self) -> bytes:
        """The body, empty without one."""
        __tracebackhide__ = True
        return self._given().body()

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        __tracebackhide__ = True
        return self.body.decode()

    def json(self) -> Any:
        """The body, decoded from JSON. Raises ``ValueError``, which quotes the beginning of a body that is not JSON."""
        __tracebackhide__ = True
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ValueError(f"the body of {self._call} is not JSON ({error}): {self.body[:200]!r}") from None

    def raise_for_error(self) -> None:
        """Raise the ``error``, if there is one, with the guest's log and host calls below it."""
        __tracebackhide__ = True
        if self.error is not None:
            raise add_notes(self.error, self._call, self.log, self.host_calls) from None

    def _given(self) -> ExecuteResponse:
        __tracebackhide__ = True
        self.raise_for_error()
        assert self._response is not None  # noqa: S101 - an execution has a response or an error
        return self._response
