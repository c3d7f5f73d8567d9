"""From what an admin typed to the one thing meant: an id, or a name where only one thing has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from alga_common.cli.failures import Failure
from alga_common.wire import is_uuid

if TYPE_CHECKING:
    from .admin import Admin

_NAMED_AT_MOST = 10

Document = dict[str, Any]


async def find_extension(admin: Admin, wanted: str) -> Document:
    """The extension with that id or name. Raises ``Failure`` with ``not_found`` or ``ambiguous``."""
    if is_uuid(wanted.lower()):
        found: Document = await admin.get("extensions", wanted)
        return found
    extensions = (await admin.get("extensions", name=wanted))["extensions"]
    if not extensions:
        raise Failure(
            "not_found",
            f"No extension {wanted!r} is published.",
            hint="`alga-server extensions` lists what is; `alga-server publish PATH` adds one.",
        )
    choices = [f"{each['extensionId']} ({each['publisher'] or 'no publisher'})" for each in extensions]
    return _only(extensions, f"{len(extensions)} extensions have the name {wanted!r}.", choices)


def find_version(extension: Document, wanted: str | None) -> Document:
    """The version with that number, or the newest. Raises ``Failure`` with ``not_found``."""
    versions: list[Document] = extension["versions"]
    if wanted is None:
        return versions[-1]
    for version in versions:
        if version["version"] == wanted:
            return version
    raise Failure(
        "not_found",
        f"Extension {extension['name']} has no version {wanted}.",
        hint=f"It has {', '.join(each['version'] for each in versions[-_NAMED_AT_MOST:])}.",
    )


async def find_install(admin: Admin, tenant: str, wanted: str) -> Document:
    """The tenant's install with that id, or of the extension with that id or name. Raises ``Failure``."""
    installs = (await admin.get("tenants", tenant, "installs"))["installs"]
    found = [
        each
        for each in installs
        if wanted.lower() in (each["installId"], each["extensionId"]) or wanted == each["extensionName"]
    ]
    if not found:
        names = [each["extensionName"] for each in installs[:_NAMED_AT_MOST]]
        raise Failure(
            "not_found",
            f"Tenant {tenant} has no install {wanted!r}.",
            hint=f"It has {', '.join(names)}." if names else "It has no installs at all; check --tenant.",
        )
    choices = [f"{each['installId']} ({each['version']})" for each in found]
    return _only(found, f"{len(found)} installs of tenant {tenant} have the name {wanted!r}.", choices)


async def find_schedule(admin: Admin, tenant: str, wanted: str, install: Document | None) -> Document:
    """The tenant's schedule with that id or name, of ``install`` if one is given. Raises ``Failure``."""
    schedules = (await admin.get("tenants", tenant, "schedules"))["schedules"]
    here = [each for each in schedules if install is None or each["installId"] == install["installId"]]
    found = [each for each in here if wanted.lower() == each["id"] or wanted == each["name"]]
    if not found:
        names = [each["name"] or each["id"] for each in here[:_NAMED_AT_MOST]]
        raise Failure(
            "not_found",
            f"Tenant {tenant} has no schedule {wanted!r}.",
            hint=f"It has {', '.join(names)}." if names else "It has no schedules there; check --tenant.",
        )
    choices = [f"{each['id']} ({each['extensionName']})" for each in found]
    return _only(found, f"{len(found)} schedules of tenant {tenant} have the name {wanted!r}.", choices)


def _only(found: Sequence[Document], sentence: str, choices: Sequence[str]) -> Document:
    if len(found) > 1:
        shown = ", ".join(choices[:_NAMED_AT_MOST])
        raise Failure("ambiguous", sentence, hint=f"Name one by its id: {shown}.")
    return found[0]
