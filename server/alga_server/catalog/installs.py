"""Installs: an extension at one version, for one tenant, with the capabilities an admin granted.

Functions take a connection and run in its transaction. Every query that touches a tenant's rows names the tenant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Select, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from alga_runner.models import DEFAULT_CAPABILITIES, normalise_capabilities, readable, unknown_capabilities

from ..errors import AlreadyInstalled, CapabilityDenied, NotFound, ValidationFailed
from ..schedules import next_run
from ..storage import batches, locks, tables
from ..storage.owned import place
from ..storage.prepared import Prepared
from . import versions

_NOT_FOUND = "Install not found"

MAX_CONFIG_ENTRIES = 256
"""Values in the configuration of one install."""

_GRANTS = (
    # Names of capabilities have no spaces.
    select(func.aggregate_strings(tables.grant.c.capability, " "))
    .where(
        tables.grant.c.tenant_id == tables.install.c.tenant_id,
        tables.grant.c.install_id == tables.install.c.id,
    )
    .scalar_subquery()
)
_QUERY: Select[Any] = (
    select(
        tables.install.c.id.label("install_id"),
        tables.install.c.tenant_id,
        tables.install.c.extension_id,
        tables.extension.c.name.label("extension_name"),
        tables.install.c.version_id,
        tables.version.c.version,
        tables.version.c.content_hash,
        tables.install.c.enabled,
        tables.install.c.config,
        _GRANTS.label("grants"),
        tables.install.c.created_at,
        tables.install.c.updated_at,
        tables.install.c.rate_arrival_at,
    )
    .join(tables.extension, tables.extension.c.id == tables.install.c.extension_id)
    .join(tables.version, tables.version.c.id == tables.install.c.version_id)
)
_FIELDS = tuple(_QUERY.selected_columns.keys())
_OF_TENANT = tables.install.c.tenant_id == bindparam("of_tenant")
_ONE = Prepared(_QUERY.where(_OF_TENANT, tables.install.c.id == bindparam("of_install")))
_ENABLED = _QUERY.where(
    _OF_TENANT, tables.install.c.extension_id == bindparam("extension"), tables.install.c.enabled
)
_SEVERAL = {
    dialect: _QUERY.where(several)
    for dialect, several in batches.owned(tables.install.c.tenant_id, tables.install.c.id).items()
}


@dataclass(frozen=True, slots=True)
class Install:
    """One install. ``grants`` are the capabilities an admin listed, ``providers`` those that executions receive."""

    install_id: str
    tenant_id: str
    extension_id: str
    extension_name: str
    version_id: str
    version: str
    content_hash: str
    enabled: bool
    config: Mapping[str, str]
    grants: frozenset[str]
    created_at: datetime
    updated_at: datetime
    rate_arrival_at: datetime | None

    @property
    def providers(self) -> frozenset[str]:
        """The grants and the capabilities of every execution."""
        return self.grants | DEFAULT_CAPABILITIES


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity that a host call names; ``path_install_id`` is the install in the call's address."""

    tenant_id: str
    extension_id: str
    install_id: str
    path_install_id: str


def for_caller(connection: Connection, caller: Caller, *, capability: str, lock: bool = False) -> Install:
    """The one enabled install that ``caller`` names and that was granted ``capability``.

    ``lock`` keeps other writers of this install out until the transaction ends. Raises ``NotFound``, the same for
    an install that is unknown, another's, disabled or not the one in the path; ``CapabilityDenied``.
    """
    if caller.install_id != caller.path_install_id:
        raise NotFound(_NOT_FOUND)
    install = _fetch(connection, caller.tenant_id, caller.install_id, lock=lock)
    if install is None or not install.enabled or install.extension_id != caller.extension_id:
        raise NotFound(_NOT_FOUND)
    if capability not in install.providers:
        raise CapabilityDenied(f"Permission denied: {capability} not granted")
    return install


def require(connection: Connection, tenant_id: str, install_id: str, *, lock: bool = False) -> Install:
    """One install of the tenant, enabled or not. Raises ``NotFound``."""
    install = _fetch(connection, tenant_id, install_id, lock=lock)
    if install is None:
        raise NotFound(_NOT_FOUND)
    return install


def several(connection: Connection, owners: Collection[tuple[str, str]]) -> dict[tuple[str, str], Install]:
    """The installs of these tenants and install ids, by both; one that is gone is absent."""
    rows = connection.execute(_SEVERAL[connection.dialect.name], batches.places(connection, owners))
    installs = map(_install, rows)
    return {(install.tenant_id, install.install_id): install for install in installs}


def enabled(connection: Connection, tenant_id: str, extension_id: str) -> Install | None:
    """The tenant's enabled install of an extension; ``None`` for an extension unknown, not installed or disabled."""
    row = connection.execute(_ENABLED, {"of_tenant": tenant_id, "extension": extension_id}).one_or_none()
    return None if row is None else _install(row)


def of_tenant(connection: Connection, tenant_id: str) -> list[Install]:
    """The tenant's installs, oldest first."""
    query = _QUERY.where(_OF_TENANT).order_by(tables.install.c.created_at, tables.install.c.id)
    return [_install(row) for row in connection.execute(query, {"of_tenant": tenant_id})]


def create(
    connection: Connection,
    tenant_id: str,
    *,
    extension_id: str,
    version_id: str | None,
    grants: Iterable[str],
    config: Mapping[str, str],
    now: datetime,
) -> Install:
    """Install a version, the newest by default, with exactly ``grants``.

    Raises ``NotFound`` for an unknown extension or version, ``ValidationFailed`` for a grant that is unknown or not
    declared by the version, ``AlreadyInstalled``.
    """
    locks.alone(connection, locks.bundles_of(tenant_id))
    installed = versions.require(connection, extension_id, version_id)
    granted = _checked_grants(grants, installed.capabilities)
    install_id = str(uuid4())
    try:
        connection.execute(
            insert(tables.install).values(
                id=install_id,
                tenant_id=tenant_id,
                extension_id=extension_id,
                version_id=installed.version_id,
                enabled=True,
                config=dict(config),
                created_at=now,
                updated_at=now,
            )
        )
    except IntegrityError:
        raise AlreadyInstalled(f"Extension {extension_id} is installed for this tenant already") from None
    _replace_grants(connection, tenant_id, install_id, granted)
    return require(connection, tenant_id, install_id)


def change(
    connection: Connection,
    tenant_id: str,
    install_id: str,
    *,
    enabled: bool | None,
    grants: Iterable[str] | None,
    config: Mapping[str, str] | None,
    now: datetime,
    add_grants: Iterable[str] = (),
    remove_grants: Iterable[str] = (),
    set_config: Mapping[str, str] | None = None,
    unset_config: Collection[str] = (),
) -> Install:
    """Change what the arguments give; ``grants`` and ``config`` replace, then single ones are added and removed.

    Raises ``NotFound``, ``ValidationFailed``.
    """
    install = require(connection, tenant_id, install_id, lock=True)
    values: dict[str, Any] = {"updated_at": now}
    if enabled is not None:
        values["enabled"] = enabled
    if enabled is True and not install.enabled:
        next_run.start_install(connection, tenant_id, install_id, now)
    if enabled is False:
        next_run.stop_install(connection, tenant_id, install_id)
    if config is not None or set_config or unset_config:
        changed = {**(install.config if config is None else config), **(set_config or {})}
        values["config"] = {key: value for key, value in changed.items() if key not in unset_config}
        if len(values["config"]) > MAX_CONFIG_ENTRIES:
            raise ValidationFailed(field_errors={"setConfig": f"At most {MAX_CONFIG_ENTRIES} values"})
    added, removed = normalise_capabilities(add_grants), normalise_capabilities(remove_grants)
    if grants is not None or added or removed:
        _check_known(removed)
        declared = versions.require(connection, install.extension_id, install.version_id).capabilities
        listed = {*(install.grants if grants is None else grants), *added}
        granted = _checked_grants(listed, declared) - removed
        _replace_grants(connection, tenant_id, install_id, granted)
    connection.execute(update(tables.install).where(_is(tenant_id, install_id)).values(values))
    return require(connection, tenant_id, install_id)


def remove(connection: Connection, tenant_id: str, install_id: str) -> None:
    """Uninstall: the install, its grants and its schedules go. Raises ``NotFound``."""
    locks.remove_install(connection, tenant_id, install_id)
    if connection.execute(delete(tables.install).where(_is(tenant_id, install_id))).rowcount == 0:
        raise NotFound(_NOT_FOUND)


def move(
    connection: Connection, install: Install, *, version_id: str, grants: frozenset[str], now: datetime
) -> None:
    """Put the install at another version of its extension, with exactly ``grants``, which that version declares."""
    connection.execute(
        update(tables.install)
        .where(_is(install.tenant_id, install.install_id))
        .values(version_id=version_id, updated_at=now)
    )
    _replace_grants(connection, install.tenant_id, install.install_id, grants)


def _is(tenant_id: str, install_id: str) -> Any:
    return and_(tables.install.c.tenant_id == tenant_id, tables.install.c.id == install_id)


def _fetch(connection: Connection, tenant_id: str, install_id: str, *, lock: bool) -> Install | None:
    if lock:
        locks.change_install(connection, tenant_id, install_id)
    row = _ONE.row(connection, place(tenant_id, install_id))
    return None if row is None else _install(row)


def _install(row: Sequence[Any]) -> Install:
    values = dict(zip(_FIELDS, row, strict=True))
    # An older version may have stored text in it that no execute request can carry.
    values["config"] = readable(values["config"])
    values["grants"] = frozenset((values["grants"] or "").split())
    return Install(**values)


def _replace_grants(
    connection: Connection, tenant_id: str, install_id: str, capabilities: frozenset[str]
) -> None:
    connection.execute(
        delete(tables.grant).where(
            tables.grant.c.tenant_id == tenant_id, tables.grant.c.install_id == install_id
        )
    )
    if capabilities:
        owner = {"tenant_id": tenant_id, "install_id": install_id}
        connection.execute(
            insert(tables.grant), [{**owner, "capability": name} for name in sorted(capabilities)]
        )


def _checked_grants(grants: Iterable[str], declared: Iterable[str]) -> frozenset[str]:
    names = normalise_capabilities(grants)
    _check_known(names)
    if undeclared := sorted(names - normalise_capabilities(declared)):
        raise ValidationFailed(
            field_errors={"grants": f"Not declared by the extension's manifest: {', '.join(undeclared)}"}
        )
    return names


def _check_known(names: frozenset[str]) -> None:
    if unknown := unknown_capabilities(names):
        raise ValidationFailed(field_errors={"grants": f"Unknown capabilities: {', '.join(unknown)}"})
