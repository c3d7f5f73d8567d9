"""What the steps share: the server and the runner, the tenants' installs, and how they call, show and check."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from alga_common.cli.page import Page
from alga_common.text import one_line

from .pair import Pair
from .processes import unmet

T = TypeVar("T")
_VALUE_CHARACTERS = 300

ACME, INITECH, GLOBEX = "acme", "initech", "globex"


@dataclass(slots=True)
class Stage:
    """One performance.

    ``calls`` counts the scheduler calls that guests are known to have made, by operation and status; ``handled`` the
    calls of the gateway. ``installs`` are what the server answered, by tenant.
    """

    pair: Pair
    page: Page
    http: httpx.Client
    installs: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    handled: int = 0

    def call(
        self, tenant: str, route: str, body: object = None, *, calls: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """``POST route`` through the gateway must be answered with status 200; returns the JSON object of the answer.

        ``calls`` are the operations that the handler calls with success on its way.
        """
        response = self.send(
            "POST",
            f"{self.pair.server_url}/api/ext/{self.installs[tenant]['extensionId']}{route}",
            headers={"authorization": f"Bearer {self.pair.tokens.gateway}", "x-alga-tenant": tenant},
            json=body,
        )
        self.handled += 1
        self.calls.update((operation, "success") for operation in calls)
        return self._document(response, 200, f"POST {route} of {tenant}")

    def attempt(self, tenant: str, **call: object) -> dict[str, Any]:
        """What the guest saw when it made this one host call, through the sample's ``POST /try``."""
        seen = self.call(tenant, "/try", call)
        status = str((seen.get("error") or {}).get("code", "success")).replace("-", "_")
        self.calls[str(call["operation"]), status] += 1
        return seen

    def admin(self, method: str, path: str, *, status: int = 200, **given: Any) -> dict[str, Any]:
        """One request below ``/api/admin``; returns the JSON object of its answer."""
        response = self.send(
            method,
            f"{self.pair.server_url}/api/admin/{path}",
            headers={"authorization": f"Bearer {self.pair.tokens.admin}"},
            **given,
        )
        return self._document(response, status, f"{method} /api/admin/{path.partition('?')[0]}")

    def of_install(self, tenant: str, what: str) -> list[dict[str, Any]]:
        """The ``schedules`` or ``runs`` of a tenant's install, as an admin sees them."""
        path = f"tenants/{tenant}/installs/{self.installs[tenant]['installId']}/{what}"
        items: list[dict[str, Any]] = self.admin("GET", path)[what]
        return items

    def schedules(self, tenant: str) -> list[dict[str, Any]]:
        """The schedules of a tenant's install, as an admin sees them."""
        return self.of_install(tenant, "schedules")

    def send(self, method: str, url: str, **given: Any) -> httpx.Response:
        """One request to one of the two. Raises ``Failure`` when it does not answer."""
        try:
            return self.http.request(method, url, **given)
        except httpx.TransportError as error:
            raise self.pair.why_silent(url, str(error) or type(error).__name__) from None

    def expect(self, actual: T, expected: T, what: str) -> None:
        """Raise ``Failure`` unless ``what`` is as expected."""
        if actual != expected:
            shown = (one_line(value, _VALUE_CHARACTERS) for value in (actual, expected))
            raise unmet("{} is {}, not {}.".format(what, *shown))

    def title(self, text: str) -> None:
        """Begin a step."""
        self.page.heading(text)

    def held(self, text: str) -> None:
        """One thing that was checked."""
        self.page.line(f"  ok  {text}", style="green")

    def _document(self, response: httpx.Response, status: int, what: str) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code != status:
            words = f": {one_line(answer, _VALUE_CHARACTERS)}" if answer else ""
            raise unmet(f"{what} was answered with {response.status_code}, not {status}{words}.")
        if not isinstance(answer, dict):
            raise unmet(f"{what} was not answered with a JSON object.")
        return answer
