"""What the steps share: the Alga they play on, the tenants' installs, and how they call, show and check."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ...runner import Observation
from ...testing import EmbeddedAlga, Installed
from ..failures import Failed
from ..page import Page
from ..values import one_line

T = TypeVar("T")
_VALUE_CHARACTERS = 300


@dataclass(slots=True)
class Stage:
    """One performance. ``calls`` counts the scheduler calls that guests made, by operation and status."""

    alga: EmbeddedAlga
    page: Page
    acme: Installed
    globex: Installed
    initech: Installed
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def call(self, installed: Installed, route: str, body: object = None) -> dict[str, Any]:
        """``POST route`` must be answered with status 200; returns the JSON object that it answers."""
        observation = await installed.call("POST", route, json=body)
        self._count(observation)
        what = f"POST {route} of {installed.tenant_id}"
        if observation.error is not None:
            raise Failed(f"{what} failed: {observation.error.sentence()}")
        response = observation.response
        if response is None or response.status != 200:
            raise Failed(f"{what} responded with {response.status if response else 'nothing'}, not 200.")
        try:
            answer = json.loads(response.body())
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Failed(f"{what} did not respond with a JSON object.")
        return answer

    async def attempt(self, installed: Installed, **call: object) -> dict[str, Any]:
        """What the guest saw when it made this one host call, through the sample's ``POST /try``."""
        return await self.call(installed, "/try", call)

    def expect(self, actual: T, expected: T, what: str) -> None:
        """Raise ``Failed`` unless ``what`` is as expected."""
        if actual != expected:
            shown = (one_line(value, _VALUE_CHARACTERS) for value in (actual, expected))
            raise Failed("{} is {}, not {}.".format(what, *shown))

    def title(self, text: str) -> None:
        """Begin a step."""
        self.page.heading(text)

    def held(self, text: str) -> None:
        """One thing that was checked."""
        self.page.line(f"  ok  {text}", style="green")

    def _count(self, observation: Observation) -> None:
        for call in observation.host_calls:
            group, _, operation = call.operation.partition(".")
            if group == "scheduler":
                status = "success" if call.status == "ok" else call.status.replace("-", "_")
                self.calls[operation, status] += 1
