"""The registry's routes for runners: which installs are valid, and whose a host is (alga-contract 2).

Upstream's ask for any key, and take installs that are disabled for valid (alga-contract 7, fault 49). Here the key is
the runner's token, and a disabled install is not valid. This server gives no hosts to installs, so it finds none.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Security
from fastapi.security import APIKeyHeader
from starlette.requests import Request

from alga_common.wire import is_tenant_id
from alga_runner.models import parse_content_hash

from ...catalog import installs
from ...errors import Unauthorized
from ..dependencies import services_of
from ..responses import Answer, same_secret
from ..schemas import Output, refused

_NO_STORE = {"cache-control": "no-store"}
_MAX_CHARACTERS = 512


class InstallValidity(Output):
    """Whether the tenant has that version of the extension installed and enabled."""

    valid: bool


class NoHost(Output):
    """No install belongs to the host."""

    error: Literal["missing_host", "not_found"]


_Text = Annotated[str, Query(max_length=_MAX_CHARACTERS)]

router = APIRouter(
    dependencies=[Security(APIKeyHeader(name="x-api-key", scheme_name="registry", auto_error=False))],
    responses=refused(400, 401, 503),
)


@router.get("/api/installs/validate", response_model=InstallValidity)
async def validate(
    request: Request,
    tenant: _Text = "",
    extension: _Text = "",
    content_hash: Annotated[str, Query(alias="hash", max_length=_MAX_CHARACTERS)] = "",
) -> Answer:
    """Whether a runner may serve the pages of that version to the tenant's visitors."""
    _require_key(request)
    return Answer({"valid": await _is_valid(request, tenant, extension, content_hash)}, headers=_NO_STORE)


@router.get(
    "/api/installs/lookup-by-host",
    status_code=404,
    response_model=NoHost,
    responses={400: {"model": NoHost}},
)
async def lookup_by_host(request: Request, host: _Text = "") -> Answer:
    """Find the install that a host belongs to: none, on this server."""
    _require_key(request)
    status, error = (404, "not_found") if host.strip() else (400, "missing_host")
    return Answer({"error": error}, status_code=status, headers=_NO_STORE)


def _require_key(request: Request) -> None:
    settings = services_of(request).settings
    if not same_secret(request.headers.get("x-api-key", ""), settings.usable_token(settings.runner_token)):
        raise Unauthorized("Invalid registry key")


async def _is_valid(request: Request, tenant: str, extension: str, content_hash: str) -> bool:
    try:
        named = parse_content_hash(content_hash)
    except ValueError:
        return False
    if not is_tenant_id(tenant) or "\0" in extension:
        return False
    install = await services_of(request).database.read(lambda c: installs.enabled(c, tenant, extension))
    return install is not None and install.content_hash == named
