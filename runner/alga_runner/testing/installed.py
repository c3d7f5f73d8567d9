"""One install of an extension, called through the server's gateway."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Unpack

from alga_common.http.exchange import Answer

from ..errors import AdminRefused, ExtensionNotAvailable
from ..execution.observation import Observation
from ..models import ExecuteResponse, Manifest
from .admin import Admin
from .gateway import Gateway, HttpOptions, is_refusal, refusal, unknown_endpoint, withheld
from .runner import watch
from .runs import Chronicle, Run


class Installed:
    """An extension that a tenant has installed; ``EmbeddedAlga.install`` returns it.

        observation = await install.call("POST", "/setup")

    ``tenant_id``, ``install_id``, ``extension_id``, ``version_id``, ``version`` and ``content_hash`` name it;
    ``manifest`` is its bundle's. Values that an admin can change are requested from the server each time.
    """

    def __init__(
        self,
        gateway: Gateway,
        admin: Admin,
        chronicle: Chronicle,
        install: Mapping[str, Any],
        manifest: Manifest,
    ) -> None:
        """``install`` is the admin API's answer."""
        self._gateway = gateway
        self._admin = admin
        self._chronicle = chronicle
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

    async def call(
        self, method: str, path: str, *, timeout_ms: int | None = None, **options: Unpack[HttpOptions]
    ) -> Observation:
        """Call an endpoint through the gateway, and return the observation; a failed execution does not raise.

        Its response is the part of the guest's response that the gateway forwards. Raises ``EndpointNotFound``,
        ``ExtensionNotAvailable`` when the install is disabled or gone, ``RequestInvalid``, ``Overloaded``.
        """
        if not path.startswith("/"):
            raise unknown_endpoint(await self.show(), f"{method.upper()} {path}")
        with watch(timeout_ms) as watched:
            answer = await self._gateway.call(self.tenant_id, self.extension_id, method, path, **options)
        observation = watched.observation
        if observation is None and is_refusal(answer):
            raise refusal(answer, await self.show(), method, path)
        if observation is None:  # a stored reply for the idempotency key, or an answer of the gateway itself
            return Observation(_response(answer), None, (), (), 0.0)
        if observation.response is None:
            return observation
        if is_refusal(answer):
            return observation._replace(response=None, error=withheld(answer, observation.response))
        forwarded = _forwarded(observation.response, answer)
        dropped = tuple(name for name in observation.response.headers if name not in forwarded.headers)
        given = tuple(observation.response.header_pairs())
        return observation._replace(response=forwarded, dropped_headers=dropped, given_headers=given)

    async def run_now(self, schedule_id: str) -> Run:
        """Run a schedule immediately, and return its run when it has ended or was skipped. Raises ``AdminRefused``."""
        await self._chronicle.learn_names()
        answer = await self._admin.run_now(self.tenant_id, self.install_id, schedule_id)
        return (await self._chronicle.add([answer]))[0]

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

    async def storage(self, operation: str, members: Mapping[str, object]) -> dict[str, Any]:
        """Ask for what the install stores, as its extension would (alga-contract 4). Raises ``AdminRefused``."""
        return await self._admin.storage(self.tenant_id, self.install_id, operation, members)

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
        """Switch the install off: the server refuses calls of it, and its host calls."""
        await self._admin.change(self.tenant_id, self.install_id, enabled=False)

    async def enable(self) -> None:
        """Switch the install on again."""
        await self._admin.change(self.tenant_id, self.install_id, enabled=True)

    async def uninstall(self) -> None:
        """Remove the install with its grants and schedules."""
        await self._admin.uninstall(self.tenant_id, self.install_id)


def _response(answer: Answer) -> ExecuteResponse:
    body = base64.b64encode(answer.body).decode() or None
    return ExecuteResponse(status=answer.status, headers=dict(answer.headers), body_b64=body)


def _forwarded(response: ExecuteResponse, answer: Answer) -> ExecuteResponse:
    """The guest's response without what the gateway dropped; headers that the gateway added are not the guest's."""
    headers = {
        name: answer.headers[name]
        for name, value in response.headers.items()
        if name in answer.headers and answer.headers[name].endswith(value)
    }
    body = response.body_b64 if answer.body else None
    return response.model_copy(update={"headers": headers, "header_list": None, "body_b64": body})
