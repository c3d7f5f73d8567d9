"""Who may call the runner: the service token, and the setting that admits callers of ``/v1/execute`` without one.

Upstream's runner asks for no token, and two of its three callers send none (alga-contract 1.3 and 1.9; section 7, fault
2). Here a caller without the token is refused unless the operator opens the route on purpose.
"""

from __future__ import annotations

import hmac
import logging
from typing import Self

from alga_common.wire import WELL_KNOWN_TOKENS, is_loopback

from ..errors import SettingsError
from ..settings import Settings
from .http import Exchange, Refused

logger = logging.getLogger("alga_runner")

OPENING = "ALGA_RUNNER_ALLOW_UNAUTHENTICATED_EXECUTE"
"""The variable of the setting that opens ``/v1/execute``."""


class Callers:
    """Checks the token of each request. ``open_execute`` admits those to ``/v1/execute`` that send none.

    Without a ``token``, ``development`` admits everyone to every route.
    """

    def __init__(self, token: bytes | None, *, open_execute: bool = False, development: bool = False) -> None:
        self._token = token
        self._open_execute = open_execute
        self._open = development and token is None

    @classmethod
    def of(cls, settings: Settings, *, development: bool) -> Self:
        """The callers that ``settings`` admit. Raises ``SettingsError`` for no token, or one that everyone knows."""
        token = settings.service_token.get_secret_value() if settings.service_token else ""
        open_execute = settings.allow_unauthenticated_execute
        if not token and not development and not open_execute:
            raise SettingsError(
                "The runner's service has no token to ask its callers for.",
                hint="Set RUNNER_SERVICE_TOKEN to what callers send as x-runner-service-token, or serve with --dev. "
                f"For callers that send none there is {OPENING}=true: see docs/drop-in.md.",
            )
        if token.lower() in WELL_KNOWN_TOKENS and not development:
            raise SettingsError(
                f"The setting {settings.named('service_token')} is a token that examples have, so everyone knows it.",
                hint="Set one of your own on both sides: openssl rand -hex 32. Or serve with --dev.",
            )
        return cls(token.encode() or None, open_execute=open_execute, development=development)

    def require_token(self, exchange: Exchange) -> None:
        """Raise ``Refused`` 401 unless the request has the token, once."""
        if self._open:
            return
        values = exchange.values(b"x-runner-service-token")
        if self._token is None:
            raise _unauthorized("the runner has no token to compare with; set RUNNER_SERVICE_TOKEN")
        if not hmac.compare_digest(values[0] if len(values) == 1 else b"", self._token):
            raise _unauthorized("the token is wrong" if values else "the caller sent no token")

    def require_execute(self, exchange: Exchange) -> None:
        """The same for ``/v1/execute``: where it is open, no token is as good as the right one; a wrong one is not."""
        sent = b"x-runner-service-token" in exchange.by_name
        if self._open_execute and (not sent or self._token is None):
            return
        if sent or self._open:
            self.require_token(exchange)
        else:
            raise _unauthorized(f"the caller sent no token; {OPENING}=true admits such callers")


def warn_of_open_execute(settings: Settings, host: str) -> None:
    """Log a warning if ``/v1/execute`` is open to callers without a token, with what else has to keep them out."""
    if not settings.allow_unauthenticated_execute:
        return
    reach = "every process of this machine" if is_loopback(host) else f"everyone who reaches {host}"
    logger.warning(
        "Open: %s is set, so %s may execute any extension of the bundle store, for any tenant and with any grants. "
        "Let only the Alga server connect: a NetworkPolicy, a firewall, or a network of their own.",
        OPENING,
        reach,
        extra={"action": "execute_open"},
    )


def _unauthorized(detail: str) -> Refused:
    return Refused(
        401, "unauthorized", "The header x-runner-service-token is missing or wrong.", detail=detail
    )
