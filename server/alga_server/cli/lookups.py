"""Find what an admin named by its id, or by its name if no other has that name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from alga_common.cli.failures import Failure
from alga_common.wire import is_uuid

if TYPE_CHECKING:
    from .admin import Admin

_NAMED_AT_MOST = 10

Document = dict[str, Any]


async def find_extension(admin: Admin, name: str) -> Document:
    """Return the extension with that id or name. Raises ``Failure`` with ``not_found`` or ``ambiguous``."""
    if is_uuid(name.lower()):
        matches: Document = await admin.get("extensions", name)
        return matches
    extensions = (await admin.get("extensions", name=name))["extensions"]
    if not extensions:
        raise Failure(
            "not_found",
            f"No extension {name!r} is published.",
            hint="`alga-server extensions` lists what is; `alga-server publish PATH` adds one.",
        )
    choices = [f"{item['extensionId']} ({item['publisher'] or 'no publisher'})" for item in extensions]
    return _only(extensions, f"{len(extensions)} extensions have the name {name!r}.", choices)


def find_version(extension: Document, name: str | None) -> Document:
    """Return the version with that number, or the newest. Raises ``Failure`` with ``not_found``."""
    versions: list[Document] = extension["versions"]
    member, value = ("versionId", extension["newestVersionId"]) if name is None else ("version", name)
    for version in versions:
        if version[member] == value:
            return version
    raise Failure(
        "not_found",
        f"Extension {extension['name']} has no version {name}.",
        hint=f"It has {', '.join(item['version'] for item in versions[-_NAMED_AT_MOST:])}.",
    )


async def find_install(admin: Admin, tenant: str, name: str) -> Document:
    """Return the tenant's install with that id, or of the extension with that id or name. Raises ``Failure``."""
    installs = (await admin.get("tenants", tenant, "installs"))["installs"]
    matches = [
        item
        for item in installs
        if name.lower() in (item["installId"], item["extensionId"]) or name == item["extensionName"]
    ]
    if not matches:
        names = [item["extensionName"] for item in installs[:_NAMED_AT_MOST]]
        raise Failure(
            "not_found",
            f"Tenant {tenant} has no install {name!r}.",
            hint=f"It has {', '.join(names)}." if names else "It has no installs at all; check --tenant.",
        )
    choices = [f"{item['installId']} ({item['version']})" for item in matches]
    return _only(matches, f"{len(matches)} installs of tenant {tenant} have the name {name!r}.", choices)


async def find_schedule(admin: Admin, tenant: str, name: str, install: Document | None) -> Document:
    """Return the tenant's schedule with that id or name, of ``install`` if one is given. Raises ``Failure``."""
    schedules = (await admin.get("tenants", tenant, "schedules"))["schedules"]
    here = [item for item in schedules if install is None or item["installId"] == install["installId"]]
    matches = [item for item in here if name.lower() == item["id"] or name == item["name"]]
    if not matches:
        names = [item["name"] or item["id"] for item in here[:_NAMED_AT_MOST]]
        raise Failure(
            "not_found",
            f"Tenant {tenant} has no schedule {name!r}.",
            hint=f"It has {', '.join(names)}." if names else "It has no schedules there; check --tenant.",
        )
    choices = [f"{item['id']} ({item['extensionName']})" for item in matches]
    return _only(matches, f"{len(matches)} schedules of tenant {tenant} have the name {name!r}.", choices)


def _only(matches: Sequence[Document], sentence: str, choices: Sequence[str]) -> Document:
    if len(matches) > 1:
        shown = ", ".join(choices[:_NAMED_AT_MOST])
        raise Failure("ambiguous", sentence, hint=f"Name one by its id: {shown}.")
    return matches[0]
