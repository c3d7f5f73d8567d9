"""One install of an extension, called the way Alga's gateway calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ..errors import AdminRefused, ExtensionNotAvailable
from ..models import Manifest
from ..runner import Observation, Runner
from .admin import Admin
from .gateway import CallOptions, execute_request


class Installed:
    """An install, and what a gateway and an admin can do with it.

    ``tenant_id``, ``install_id``, ``extension_id``, ``version_id``, ``version`` and ``content_hash`` name it;
    ``manifest`` is its bundle's. What an admin can change is asked of the server for each call.
    """

    def __init__(self, runner: Runner, admin: Admin, install: Mapping[str, Any], manifest: Manifest) -> None:
        """``install`` is the admin API's answer."""
        self._runner = runner
        self._admin = admin
        self.manifest = manifest
        self.tenant_id: str = install["tenantId"]
        self.install_id: str = install["installId"]
        self.extension_id: str = install["extensionId"]
        self.version_id: str = install["versionId"]
        self.version: str = install["version"]
        self.content_hash: str = install["contentHash"]

    def __repr__(self) -> str:
        return f"<{self.described()}>"

    def described(self) -> str:
        """Name, version and tenant, in words."""
        return f"{self.manifest.name} {self.version} for tenant {self.tenant_id}"

    async def call(self, method: str, path: str, **options: Unpack[CallOptions]) -> Observation:
        """Execute the handler behind ``method path`` and say how it went; a failed execution does not raise.

        Headers that a gateway does not forward are dropped (``gateway.FORWARDED_HEADERS``). Raises
        ``EndpointNotFound``, ``ExtensionNotAvailable`` when the install is disabled or gone.
        """
        return await self._runner.observe(execute_request(await self.show(), method, path, **options))

    async def show(self) -> dict[str, Any]:
        """The install as the admin API shows it now. Raises ``ExtensionNotAvailable`` once it is gone."""
        try:
            return await self._admin.get(self.tenant_id, self.install_id)
        except AdminRefused as error:
            if error.http_status != 404:
                raise
            raise ExtensionNotAvailable(
                f"{self.manifest.name} is not installed for tenant {self.tenant_id} any more."
            ) from None

    async def schedules(self) -> list[dict[str, Any]]:
        """The schedules as an admin sees them, oldest first, each with ``trigger`` and ``nextRunAt``."""
        return await self._admin.schedules(self.tenant_id, self.install_id)

    async def grant(self, *capabilities: str) -> None:
        """Grant more capabilities. Raises ``AdminRefused`` for one that the manifest does not declare."""
        grants = {*(await self.show())["grants"], *capabilities}
        await self._admin.change(self.tenant_id, self.install_id, grants=sorted(grants))

    async def revoke(self, *capabilities: str) -> None:
        """Take capabilities back."""
        grants = set((await self.show())["grants"]) - set(capabilities)
        await self._admin.change(self.tenant_id, self.install_id, grants=sorted(grants))

    async def configure(self, config: Mapping[str, str]) -> None:
        """Replace the install's configuration."""
        await self._admin.change(self.tenant_id, self.install_id, config=dict(config))

    async def disable(self) -> None:
        """Switch the install off: neither calls nor its host calls are answered."""
        await self._admin.change(self.tenant_id, self.install_id, enabled=False)

    async def enable(self) -> None:
        """Switch the install on again."""
        await self._admin.change(self.tenant_id, self.install_id, enabled=True)

    async def uninstall(self) -> None:
        """Remove the install with its grants and schedules."""
        await self._admin.uninstall(self.tenant_id, self.install_id)
