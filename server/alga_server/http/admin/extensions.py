"""Publishing extensions, and listing them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import asdict
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Header, Response
from starlette.requests import Request

from alga_runner.models import EndpointInfo
from alga_runner.models.archive import unpacking_bytes

from ...catalog import extensions
from ...catalog.extensions import Extension
from ...errors import BundleRefused, NotFound
from ..dependencies import ServicesDep
from ..params import Id
from ..responses import read_body
from ..schemas import Instant, Output, WarmupShown, refused
from .audit import note
from .router import admin_router

router = admin_router()
_PUBLISHING = ""
"""The owner of memory for archives that no tenant has yet."""
_ARCHIVE = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


class PublishedVersion(Output):
    """A version as it was published."""

    extension_id: str
    name: str
    version_id: str
    version: str
    content_hash: str
    capabilities: list[str]
    endpoints: list[EndpointInfo]
    warmup: WarmupShown


class ExtensionVersion(Output):
    """One version of an extension."""

    version_id: str
    version: str
    content_hash: str
    capabilities: list[str]
    created_at: Instant


class ExtensionShown(Output):
    """An extension and its versions, lowest SemVer precedence first.

    ``newest_version_id`` is installed unless another is named: the highest, of releases if there are any.
    """

    extension_id: str
    publisher: str
    name: str
    newest_version_id: str
    versions: list[ExtensionVersion]


class ExtensionsListed(Output):
    """Every extension."""

    extensions: list[ExtensionShown]


@router.post(
    "/extensions",
    status_code=201,
    response_model=PublishedVersion,
    responses={200: {"model": PublishedVersion}, **refused(400, 409, 413, 503)},
    openapi_extra={"requestBody": _ARCHIVE},
)
async def publish(
    request: Request,
    response: Response,
    services: ServicesDep,
    x_alga_signature: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Publish a packed bundle, and have the runner load it; 200 when the same content was published before.

    ``x-alga-signature`` is the signature's document in base64, which is stored next to the bundle.
    """
    archive = await read_body(request, services.settings.max_bundle_bytes)
    signature = _signature(x_alga_signature)
    async with services.unpacking.of(_PUBLISHING, unpacking_bytes(len(archive))):
        bundle = await to_thread.run_sync(extensions.read_bundle, archive, signature)
    published = await services.database.write(lambda c: extensions.publish(c, bundle, services.clock.now()))
    note(request, extension_id=published.extension_id, version_id=published.version_id)
    if not published.created:
        await services.bundles.keep_version(published.version_id)
        response.status_code = 200
    warmup = await services.warmups.of_published(published.extension_id, published.content_hash)
    return {**asdict(published), "warmup": warmup}


def _signature(header: str | None) -> bytes | None:
    try:
        return None if header is None else base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        raise BundleRefused("The header x-alga-signature is not base64.") from None


@router.get("/extensions", response_model=ExtensionsListed)
async def list_all(services: ServicesDep, name: str | None = None) -> dict[str, Any]:
    """List every extension, or those of one name."""
    return {"extensions": await services.database.read(lambda c: extensions.extensions(c, name=name))}


@router.get("/extensions/{extension_id}", response_model=ExtensionShown, responses=refused(404))
async def get(services: ServicesDep, extension_id: Id) -> Extension:
    """Show one extension."""
    shown = await services.database.read(lambda c: extensions.extensions(c, extension_id=extension_id))
    if not shown:
        raise NotFound("Extension not found")
    return shown[0]
