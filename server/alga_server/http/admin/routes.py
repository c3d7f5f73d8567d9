"""What admins do: publish extensions, install them, manage their schedules. JSON in camelCase.

Every route wants ``authorization: Bearer <admin_token>``, checked before a byte of the body is read.
"""

from __future__ import annotations

from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from ...catalog import extensions, installs
from ...catalog.bundle_sync import placement_of
from ...catalog.installs import Install
from ...errors import BundleStoreUnavailable, NotFound, Unauthorized, ValidationFailed
from ...schedules import schedules
from ...schedules.endpoint_ref import endpoints
from ..answers import (
    ExtensionShown,
    ExtensionsListed,
    InstallShown,
    InstallsListed,
    PublishedVersion,
    ScheduleShown,
    SchedulesShown,
    TenantSchedulesShown,
)
from ..dependencies import Services
from ..openapi import described, query
from ..params import UNKNOWN_ID, parse_tenant, parse_uuid
from ..requests import AdminChanges, AdminSchedule
from ..responses import Answer, read_body, read_json_object, same_secret
from .clock import add_clock
from .models import (
    InstallChanges,
    InstallInput,
    extension_answer,
    install_answer,
    parse,
    published_answer,
    schedule_answer,
)
from .reconcile import add_reconciliation
from .runs import add_runs
from .upgrade import add_upgrade

_TRIGGER = "admin_api"


def admin_router(services: Services) -> APIRouter:
    """Everything below ``/api/admin``."""

    async def check_admin(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        expected = services.settings.usable_token(services.settings.admin_token)
        if not same_secret(given.strip(), expected) or scheme.lower() != "bearer":
            raise Unauthorized("Invalid admin token")

    router = APIRouter(prefix="/api/admin", dependencies=[Depends(check_admin)])
    _add_extensions(router, services)
    _add_installs(router, services)
    _add_schedules(router, services)
    add_runs(router, services)
    add_upgrade(router, services)
    add_reconciliation(router, services)
    if services.movable_clock is not None:
        add_clock(router, services, services.movable_clock)
    return router


def _add_extensions(router: APIRouter, services: Services) -> None:
    one_at_a_time = CapacityLimiter(1)  # an unpacked bundle is hundreds of megabytes

    @router.post(
        "/extensions", **described(PublishedVersion, status=201, also=(200,), body=bytes, refusals=(409, 503))
    )
    async def publish(request: Request) -> Answer:
        archive = await read_body(request, services.settings.max_bundle_bytes)
        bundle = await to_thread.run_sync(extensions.read_bundle, archive, limiter=one_at_a_time)
        now = services.clock.now()
        published = await services.database.write(lambda c: extensions.publish(c, bundle, now))
        if not published.created:
            await services.bundles.keep_version(published.version_id)
        return Answer(published_answer(published), status_code=201 if published.created else 200)

    @router.get("/extensions", **described(ExtensionsListed, parameters=[query("name", type="string")]))
    async def list_all(request: Request) -> Answer:
        name = request.query_params.get("name")
        found = await services.database.read(lambda c: extensions.extensions(c, name=name))
        return Answer({"extensions": [extension_answer(each) for each in found]})

    @router.get("/extensions/{extension_id}", **described(ExtensionShown, refusals=(404,)))
    async def get(extension_id: str) -> Answer:
        wanted = parse_uuid(extension_id)
        found = await services.database.read(lambda c: extensions.extensions(c, extension_id=wanted))
        if not found:
            raise NotFound("Extension not found")
        return Answer(extension_answer(found[0]))


def _add_installs(router: APIRouter, services: Services) -> None:
    database, clock = services.database, services.clock
    one = "/tenants/{tenant_id}/installs/{install_id}"

    def shown(connection: Connection, install: Install) -> dict[str, Any]:
        return install_answer(install, endpoints(connection, install.version_id))

    @router.post(
        "/tenants/{tenant_id}/installs",
        **described(InstallShown, status=201, body=InstallInput, refusals=(404, 409, 503)),
    )
    async def create(request: Request, tenant_id: str) -> Answer:
        wanted = parse(InstallInput, await _json(request, services))
        if parse_tenant(tenant_id) == UNKNOWN_ID:
            raise ValidationFailed(field_errors={"tenantId": "Invalid tenantId"})

        def transaction(connection: Connection) -> tuple[Install, dict[str, Any]]:
            install = installs.create(
                connection,
                tenant_id,
                extension_id=parse_uuid(wanted.extension_id),
                version_id=None if wanted.version_id is None else parse_uuid(wanted.version_id),
                grants=wanted.grants,
                config=wanted.config,
                now=clock.now(),
            )
            return install, shown(connection, install)

        install, answer = await database.write(transaction)
        await _keep_bundle(services, install)
        return Answer(answer, status_code=201)

    @router.get("/tenants/{tenant_id}/installs", **described(InstallsListed))
    async def list_all(tenant_id: str) -> Answer:
        def transaction(connection: Connection) -> list[dict[str, Any]]:
            return [
                shown(connection, each) for each in installs.of_tenant(connection, parse_tenant(tenant_id))
            ]

        return Answer({"installs": await database.read(transaction)})

    @router.get(one, **described(InstallShown, refusals=(404,)))
    async def get(tenant_id: str, install_id: str) -> Answer:
        def transaction(connection: Connection) -> dict[str, Any]:
            return shown(connection, _require(connection, tenant_id, install_id))

        return Answer(await database.read(transaction))

    @router.patch(one, **described(InstallShown, body=InstallChanges, refusals=(404, 409)))
    async def change(request: Request, tenant_id: str, install_id: str) -> Answer:
        changes = parse(InstallChanges, await _json(request, services))

        def transaction(connection: Connection) -> dict[str, Any]:
            install = installs.change(
                connection,
                parse_tenant(tenant_id),
                parse_uuid(install_id),
                enabled=changes.enabled,
                grants=changes.grants,
                config=changes.config,
                now=clock.now(),
                add_grants=changes.add_grants,
                remove_grants=changes.remove_grants,
            )
            return shown(connection, install)

        answer = Answer(await database.write(transaction))
        services.dispatcher.wake()
        return answer

    @router.delete(one, **described(None, status=204, refusals=(404, 503)))
    async def remove(tenant_id: str, install_id: str) -> Response:
        def transaction(connection: Connection) -> Install:
            install = _require(connection, tenant_id, install_id, lock=True)
            installs.remove(connection, install.tenant_id, install.install_id)
            return install

        await services.bundles.drop_all(await database.write(transaction))
        return Response(status_code=204)


def _add_schedules(router: APIRouter, services: Services) -> None:
    database, clock, limits = services.database, services.clock, services.limits
    root = "/tenants/{tenant_id}/installs/{install_id}/schedules"

    def shown(connection: Connection, install: Install, schedule_id: str) -> dict[str, Any]:
        schedule = schedules.get(connection, install, schedule_id)
        if schedule is None:
            raise NotFound("Schedule not found")
        return schedule_answer(schedule)

    @router.get("/tenants/{tenant_id}/schedules", **described(TenantSchedulesShown))
    async def list_of_tenant(tenant_id: str) -> Answer:
        def transaction(connection: Connection) -> list[dict[str, Any]]:
            return [
                {
                    **schedule_answer(schedule),
                    "installId": install.install_id,
                    "extensionName": install.extension_name,
                }
                for install in installs.of_tenant(connection, parse_tenant(tenant_id))
                for schedule in schedules.list_all(connection, install)
            ]

        return Answer({"schedules": await database.read(transaction)})

    @router.get(root, **described(SchedulesShown, refusals=(404,)))
    async def list_all(tenant_id: str, install_id: str) -> Answer:
        def transaction(connection: Connection) -> list[dict[str, Any]]:
            install = _require(connection, tenant_id, install_id)
            return [schedule_answer(each) for each in schedules.list_all(connection, install)]

        return Answer({"schedules": await database.read(transaction)})

    @router.post(root, **described(ScheduleShown, status=201, body=AdminSchedule, refusals=(404,)))
    async def create(request: Request, tenant_id: str, install_id: str) -> Answer:
        body = await _json(request, services)

        def transaction(connection: Connection) -> dict[str, Any]:
            install = _require(connection, tenant_id, install_id, lock=True)
            schedule_id = schedules.create(
                connection, install, body, trigger=_TRIGGER, limits=limits, now=clock.now()
            )
            return shown(connection, install, schedule_id)

        answer = Answer(await database.write(transaction), status_code=201)
        services.dispatcher.wake()
        return answer

    @router.patch(root + "/{schedule_id}", **described(ScheduleShown, body=AdminChanges, refusals=(404,)))
    async def change(request: Request, tenant_id: str, install_id: str, schedule_id: str) -> Answer:
        body = await _json(request, services)

        def transaction(connection: Connection) -> dict[str, Any]:
            install = _require(connection, tenant_id, install_id, lock=True)
            known = parse_uuid(schedule_id)
            schedules.change(connection, install, known, body, limits=limits, now=clock.now())
            return shown(connection, install, known)

        answer = Answer(await database.write(transaction))
        services.dispatcher.wake()
        return answer

    @router.delete(root + "/{schedule_id}", **described(None, status=204, refusals=(404,)))
    async def remove(tenant_id: str, install_id: str, schedule_id: str) -> Response:
        def transaction(connection: Connection) -> None:
            install = _require(connection, tenant_id, install_id, lock=True)
            schedules.remove(connection, install, parse_uuid(schedule_id), now=clock.now())

        await database.write(transaction)
        return Response(status_code=204)


async def _keep_bundle(services: Services, install: Install) -> None:
    """Put the install's bundle where a runner finds it, or take the install back."""
    try:
        await services.bundles.keep(placement_of(install))
    except BundleStoreUnavailable:
        await services.database.write(lambda c: installs.remove(c, install.tenant_id, install.install_id))
        raise


async def _json(request: Request, services: Services) -> dict[str, Any]:
    return await read_json_object(request, services.settings.max_request_bytes)


def _require(connection: Connection, tenant_id: str, install_id: str, *, lock: bool = False) -> Install:
    return installs.require(connection, parse_tenant(tenant_id), parse_uuid(install_id), lock=lock)
