"""A client of the Alga server's admin API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from ..errors import AdminRefused


class Admin:
    """Asks the admin API over ``client``. A request that the server refuses raises ``AdminRefused``."""

    def __init__(self, client: httpx.AsyncClient, token: SecretStr) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {token.get_secret_value()}"}

    async def publish(self, archive: bytes) -> dict[str, Any]:
        """Publish a packed bundle. Publishing the same bundle again returns the same answer."""
        return await self._ask("publish the bundle", "POST", "extensions", content=archive)

    async def install(
        self,
        tenant_id: str,
        extension_id: str,
        version_id: str,
        *,
        grants: Iterable[str],
        config: Mapping[str, str],
    ) -> dict[str, Any]:
        """Install one version for a tenant, with exactly ``grants``."""
        document = {
            "extensionId": extension_id,
            "versionId": version_id,
            "grants": list(grants),
            "config": dict(config),
        }
        purpose = f"install the extension for tenant {tenant_id}"
        return await self._ask(purpose, "POST", f"tenants/{tenant_id}/installs", json=document)

    async def find(self, tenant_id: str, extension_id: str) -> dict[str, Any] | None:
        """The tenant's install of the extension; ``None`` without one."""
        installs = (await self._ask("list the installs", "GET", f"tenants/{tenant_id}/installs"))["installs"]
        return next((install for install in installs if install["extensionId"] == extension_id), None)

    async def upgrade(self, tenant_id: str, install_id: str, version_id: str) -> dict[str, Any]:
        """Move the install to a version; schedules of endpoints that it lacks are disabled."""
        document = {"versionId": version_id, "disableMissingSchedules": True}
        path = _install(tenant_id, install_id) + "/upgrade"
        return await self._ask("upgrade the install", "POST", path, json=document)

    async def get(self, tenant_id: str, install_id: str) -> dict[str, Any]:
        """The install as it is now: ``grants``, ``providers``, ``config``, ``enabled``, ``endpoints`` ..."""
        return await self._ask("show the install", "GET", _install(tenant_id, install_id))

    async def change(self, tenant_id: str, install_id: str, **changes: object) -> dict[str, Any]:
        """Change ``enabled``, ``grants`` or ``config``; the latter two replace the old values."""
        path = _install(tenant_id, install_id)
        return await self._ask("change the install", "PATCH", path, json=changes)

    async def uninstall(self, tenant_id: str, install_id: str) -> None:
        """Remove the install with all that is its own."""
        await self._ask("uninstall the extension", "DELETE", _install(tenant_id, install_id))

    async def schedules(self, tenant_id: str, install_id: str) -> list[dict[str, Any]]:
        """The install's schedules, oldest first, each with ``trigger`` and ``nextRunAt``."""
        return await self._list(_install(tenant_id, install_id) + "/schedules")

    async def schedules_of_tenant(self, tenant_id: str) -> list[dict[str, Any]]:
        """The schedules of all the tenant's installs."""
        return await self._list(f"tenants/{tenant_id}/schedules")

    async def storage(
        self, tenant_id: str, install_id: str, operation: str, members: Mapping[str, object]
    ) -> dict[str, Any]:
        """Carry out an operation on what the install stores."""
        path = _install(tenant_id, install_id) + "/storage"
        return await self._ask(
            f"{operation} a record", "POST", path, json={"operation": operation, **members}
        )

    async def invoices(self, tenant_id: str) -> list[dict[str, Any]]:
        """The tenant's newest invoices, newest first."""
        answer = await self._ask("list the invoices", "GET", f"tenants/{tenant_id}/invoices?limit=200")
        invoices: list[dict[str, Any]] = answer["invoices"]
        return invoices

    async def seed(self, tenant_id: str, members: Mapping[str, object]) -> None:
        """Add to what the tenant's extensions read."""
        await self._ask("take the data", "PATCH", f"tenants/{tenant_id}/seed-data", json=members)

    async def run_now(self, tenant_id: str, install_id: str, schedule_id: str) -> dict[str, Any]:
        """Run a schedule immediately, and return its run when it has ended or was skipped."""
        path = f"{_install(tenant_id, install_id)}/schedules/{quote(schedule_id, safe='')}/run-now"
        return await self._ask("run the schedule", "POST", path)

    async def advance_clock(self, step: timedelta) -> dict[str, Any]:
        """Put the server's clock forward; returns ``now``, the runs that ``fired``, whether the clock ``arrived``."""
        document = {"advance": {"seconds": step.total_seconds()}}
        return await self._ask("move the clock", "POST", "clock", json=document)

    async def metrics(self) -> str:
        """The server's metrics in Prometheus' text form."""
        return (await self._client.get("/metrics")).text

    async def _list(self, path: str) -> list[dict[str, Any]]:
        schedules: list[dict[str, Any]] = (await self._ask("list the schedules", "GET", path))["schedules"]
        return schedules

    async def _ask(
        self, purpose: str, method: str, path: str, *, json: object = None, content: bytes | None = None
    ) -> dict[str, Any]:
        response = await self._client.request(
            method, f"/api/admin/{path}", json=json, content=content, headers=self._headers
        )
        if response.is_success:
            return dict(response.json()) if response.content else {}
        raise _refused(purpose, response)


def _install(tenant_id: str, install_id: str) -> str:
    return f"tenants/{tenant_id}/installs/{install_id}"


def _refused(purpose: str, response: httpx.Response) -> AdminRefused:
    document = response.json() if response.headers.get("content-type") == "application/json" else {}
    fields: dict[str, str] = document.get("fieldErrors", {})
    reason = "; ".join(f"{field}: {fault}" for field, fault in fields.items()) or document.get("error", "")
    return AdminRefused(
        f"The Alga server refused to {purpose}: {reason or response.reason_phrase}.",
        server_code=document.get("code", ""),
        http_status=response.status_code,
        field_errors=fields,
    )
