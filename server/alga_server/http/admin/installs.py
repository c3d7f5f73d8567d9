"""Installing an extension for a tenant, changing the install, moving it to another version, uninstalling."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from sqlalchemy import Connection
from starlette.requests import Request

from alga_runner.models import EndpointInfo

from ...catalog import installs, upgrades, versions
from ...catalog.bundle_store import Placement
from ...catalog.bundle_sync import placement_of
from ...catalog.installs import MAX_CONFIG_ENTRIES, Install
from ...errors import BundleStoreUnavailable, ServerError, ValidationFailed
from ...schedules.endpoint_ref import endpoints
from ..dependencies import ServicesDep
from ..params import UNKNOWN_ID, Id, TenantId, parse_uuid
from ..schemas import Input, Instant, MissingEndpoint, Names, Output, Text, WarmupShown, refused
from .audit import note
from .router import INSTALL, INSTALLS, admin_router

MAX_GRANTS = 64

router = admin_router()

_Config = Annotated[dict[Text, Text], Field(max_length=MAX_CONFIG_ENTRIES)]
_Grants = Annotated[list[Text], Field(max_length=MAX_GRANTS)]
_TextId = Annotated[Text, AfterValidator(parse_uuid)]


class InstallInput(Input):
    """An extension to install: the newest version unless one is named, with the listed capabilities and no others."""

    extension_id: _TextId
    version_id: _TextId | None = None
    grants: _Grants = Field(default_factory=list)
    config: _Config = Field(default_factory=dict)


class InstallChanges(Input):
    """Changes to an install; an absent or null member changes nothing, ``config`` and ``grants`` replace the old ones.

    ``add_grants`` and ``remove_grants`` change single capabilities, ``set_config`` and ``unset_config`` single values
    of the configuration, so that two admins can change them concurrently.
    """

    enabled: bool | None = None
    config: _Config | None = None
    grants: _Grants | None = None
    add_grants: _Grants = Field(default_factory=list)
    remove_grants: _Grants = Field(default_factory=list)
    set_config: _Config = Field(default_factory=dict)
    unset_config: Annotated[list[Text], Field(max_length=MAX_CONFIG_ENTRIES)] = Field(default_factory=list)


class UpgradeInput(Input):
    """The version to move to; whether to disable schedules whose endpoint it lacks.

    Without a version it is the newest, and nothing changes if that has lower precedence than the install's.
    """

    version_id: _TextId | None = None
    disable_missing_schedules: bool = False


class InstallShown(Output):
    """An install; ``grants`` are the listed capabilities, ``providers`` those that its executions receive."""

    install_id: str
    tenant_id: str
    extension_id: str
    extension_name: str
    version_id: str
    version: str
    content_hash: str
    enabled: bool
    config: dict[str, str]
    grants: Names
    providers: Names
    endpoints: list[EndpointInfo]
    created_at: Instant
    updated_at: Instant


class MadeInstall(InstallShown):
    """An install that was just made."""

    warmup: WarmupShown


class UpgradedInstall(MadeInstall):
    """An install at another version, and the changes to its schedules and grants."""

    previous_version: str
    grants_ended: Names
    schedules_remapped: int
    schedules_disabled: list[MissingEndpoint]


class InstallsListed(Output):
    """The installs of a tenant."""

    installs: list[InstallShown]


@router.post(
    INSTALLS, status_code=201, response_model=MadeInstall, responses=refused(400, 404, 409, 413, 503)
)
async def create(
    request: Request, services: ServicesDep, tenant_id: TenantId, body: InstallInput
) -> dict[str, Any]:
    """Install an extension, put its bundle where a runner fetches it, and have the runner load it."""
    note(request, extension_id=body.extension_id)
    if tenant_id == UNKNOWN_ID:
        raise ValidationFailed(field_errors={"tenantId": "Invalid tenantId"})

    def transaction(connection: Connection) -> tuple[Install, dict[str, Any]]:
        install = installs.create(
            connection,
            tenant_id,
            extension_id=body.extension_id,
            version_id=body.version_id,
            grants=body.grants,
            config=body.config,
            now=services.clock.now(),
        )
        return install, _members(connection, install)

    install, members = await services.database.write(transaction)
    note(request, install_id=install.install_id, version_id=install.version_id)
    try:
        await services.bundles.keep(placement_of(install))
    except BundleStoreUnavailable:
        await services.database.write(lambda c: installs.remove(c, tenant_id, install.install_id))
        raise
    return {**members, "warmup": await services.warmups.of_installed(placement_of(install))}


@router.get(INSTALLS, response_model=InstallsListed)
async def list_all(services: ServicesDep, tenant_id: TenantId) -> dict[str, Any]:
    """List a tenant's installs."""

    def transaction(connection: Connection) -> list[dict[str, Any]]:
        return [_members(connection, install) for install in installs.of_tenant(connection, tenant_id)]

    return {"installs": await services.database.read(transaction)}


@router.get(INSTALL, response_model=InstallShown, responses=refused(404))
async def get(services: ServicesDep, tenant_id: TenantId, install_id: Id) -> dict[str, Any]:
    """Show an install."""

    def transaction(connection: Connection) -> dict[str, Any]:
        return _members(connection, installs.require(connection, tenant_id, install_id))

    return await services.database.read(transaction)


@router.patch(INSTALL, response_model=InstallShown, responses=refused(400, 404, 409, 413))
async def change(
    services: ServicesDep, tenant_id: TenantId, install_id: Id, body: InstallChanges
) -> dict[str, Any]:
    """Change an install."""

    def transaction(connection: Connection) -> dict[str, Any]:
        install = installs.change(
            connection,
            tenant_id,
            install_id,
            enabled=body.enabled,
            grants=body.grants,
            config=body.config,
            now=services.clock.now(),
            add_grants=body.add_grants,
            remove_grants=body.remove_grants,
            set_config=body.set_config,
            unset_config=body.unset_config,
        )
        return _members(connection, install)

    members = await services.database.write(transaction)
    services.dispatcher.wake()
    return members


@router.delete(INSTALL, status_code=204, response_model=None, responses=refused(404, 503))
async def remove(services: ServicesDep, tenant_id: TenantId, install_id: Id) -> None:
    """Uninstall, with schedules, grants and the tenant's copies of the bundle."""

    def transaction(connection: Connection) -> Install:
        install = installs.require(connection, tenant_id, install_id, lock=True)
        installs.remove(connection, tenant_id, install_id)
        return install

    await services.bundles.drop_all(await services.database.write(transaction))


@router.post(INSTALL + "/upgrade", response_model=UpgradedInstall, responses=refused(400, 404, 409, 413, 503))
async def upgrade(
    services: ServicesDep, tenant_id: TenantId, install_id: Id, body: UpgradeInput
) -> dict[str, Any]:
    """Move an install to another version: the newest, or the one you name; only by name to a lower one."""

    def target(connection: Connection) -> tuple[str, Placement]:
        install = installs.require(connection, tenant_id, install_id)
        version = versions.require(connection, install.extension_id, body.version_id)
        return version.version_id, Placement(tenant_id, install.extension_id, version.content_hash)

    version_id, placement = await services.database.read(target)

    def transaction(connection: Connection) -> dict[str, Any]:
        upgraded = upgrades.upgrade(
            connection,
            tenant_id,
            install_id,
            version_id=version_id,
            may_go_back=body.version_id is not None,
            disable_missing=body.disable_missing_schedules,
            now=services.clock.now(),
        )
        return {
            **_members(connection, upgraded.install),
            "previous_version": upgraded.before.version,
            "grants_ended": upgraded.before.grants - upgraded.install.grants,
            "schedules_remapped": upgraded.remapped,
            "schedules_disabled": upgraded.disabled,
        }

    # Store and load the bundle before any execution at its version; if it cannot be stored, nothing changes.
    written = await services.bundles.bring(placement)
    warmup = await services.warmups.of_installed(placement)
    try:
        members = await services.database.write(transaction)
    except ServerError:
        await services.bundles.drop(placement)
        raise
    if members["version_id"] == version_id:
        # A refused upgrade to this version may have dropped it meanwhile.
        await services.bundles.keep(placement)
    elif written:  # the install is at a higher version, and stays there
        await services.bundles.drop(placement)
    services.dispatcher.wake()
    return {**members, "warmup": warmup}


def _members(connection: Connection, install: Install) -> dict[str, Any]:
    """Return the members of an ``InstallShown``."""
    return {
        **asdict(install),
        "providers": install.providers,
        "endpoints": endpoints(connection, install.version_id),
    }
