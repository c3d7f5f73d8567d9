"""Who may ask, and for whom."""

from __future__ import annotations

import hmac

from ..models import ExecuteRequest
from .http import Exchange, Refused

TOKEN_HEADER = b"x-runner-service-token"


def require_token(exchange: Exchange, token: bytes | None) -> None:
    """Raise ``Refused`` 401 unless the request carries ``token`` once; ``None`` lets everyone in (development)."""
    if token is None:
        return
    given = exchange.values(TOKEN_HEADER)
    if not hmac.compare_digest(given[0] if len(given) == 1 else b"", token):
        raise Refused(401, "unauthorized", "The header x-runner-service-token is missing or wrong.")


def routing_fault(exchange: Exchange, request: ExecuteRequest) -> str | None:
    """What is wrong with the headers that route a request, as the contract's error string.

    ``missing_routing_headers`` (alga-contract 1.3, step 1), or ``routing_headers_mismatch``: upstream fetched the
    bundle for the headers' tenant and called the host for the body's (alga-contract 7, fault 2).
    """
    context = request.context
    wanted = {b"x-alga-tenant": context.tenant_id, b"x-alga-extension": context.extension_id}
    given = {name: exchange.values(name) for name in wanted}
    if not all(values and all(values) for values in given.values()):
        return "missing_routing_headers"
    if any(value != wanted[name].encode() for name, values in given.items() for value in values):
        return "routing_headers_mismatch"
    return None
