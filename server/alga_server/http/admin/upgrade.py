"""How an admin moves an install to another version."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request

from ...catalog import installs, upgrades
from ...catalog.bundle_store import Placement
from ...catalog.upgrades import Upgrade
from ...errors import ServerError
from ...schedules.endpoint_ref import endpoints
from ..answers import UpgradedInstall
from ..dependencies import Services
from ..openapi import described
from ..params import parse_tenant, parse_uuid
from ..responses import Answer, read_json_object
from .models import UpgradeInput, install_answer, parse


def add_upgrade(router: APIRouter, services: Services) -> None:
    """``POST .../installs/{install}/upgrade``."""

    @router.post(
        "/tenants/{tenant_id}/installs/{install_id}/upgrade",
        **described(UpgradedInstall, body=UpgradeInput, refusals=(404, 409, 503)),
    )
    async def upgrade(request: Request, tenant_id: str, install_id: str) -> Answer:
        wanted = parse(UpgradeInput, await read_json_object(request, services.settings.max_request_bytes))
        tenant, known = parse_tenant(tenant_id), parse_uuid(install_id)
        named = None if wanted.version_id is None else parse_uuid(wanted.version_id)

        def look(connection: Connection) -> tuple[str, Placement]:
            install = installs.require(connection, tenant, known)
            version = installs.version(connection, install.extension_id, named)
            return version.id, Placement(tenant, install.extension_id, version.content_hash)

        version_id, placement = await services.database.read(look)

        def transaction(connection: Connection) -> dict[str, Any]:
            done = upgrades.upgrade(
                connection,
                tenant,
                known,
                version_id=version_id,
                disable_missing=wanted.disable_missing_schedules,
                now=services.clock.now(),
            )
            return _answer(done, endpoints(connection, version_id))

        # The bundle is there before anything runs at its version, and one that cannot be written changes nothing.
        await services.bundles.bring(placement)
        try:
            answer = await services.database.write(transaction)
        except ServerError:
            await services.bundles.drop(placement)
            raise
        await services.bundles.keep(placement)  # in case somebody who was refused has dropped it meanwhile
        services.dispatcher.wake()
        return Answer(answer)


def _answer(done: Upgrade, endpoints: list[Any]) -> dict[str, Any]:
    return {
        **install_answer(done.install, endpoints),
        "previousVersion": done.before.version,
        "grantsEnded": sorted(done.before.grants - done.install.grants),
        "schedulesRemapped": done.remapped,
        "schedulesDisabled": [
            {"scheduleId": each.schedule_id, "method": each.method, "path": each.path}
            for each in done.disabled
        ],
    }
