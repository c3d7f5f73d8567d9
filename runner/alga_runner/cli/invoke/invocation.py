"""One call of an extension on an embedded Alga."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from alga_common.http.semantics import TO_GUEST
from alga_common.signals.coroutines import run

from ...bundles import read_bundle
from ...capabilities import OPERATIONS
from ...engine import check_in_subprocess
from ...errors import AlgaError, BundleInvalid, DeadlineExceeded
from ...execution.observation import Observation
from ...models import DEFAULT_CAPABILITIES, Manifest
from ...testing import EmbeddedAlga
from .outside import with_allowed_hosts

_MAGIC = b"\0asm"


@dataclass(frozen=True, slots=True)
class Invocation:
    """What to call, with what, and what the install is given. ``route`` is a path, maybe with a query."""

    path: str
    method: str
    route: str
    body: bytes | None
    headers: Mapping[str, str]
    grants: tuple[str, ...]
    config: Mapping[str, str]
    tenant_id: str
    timeout_ms: int | None
    state: Path | None = None
    """The file that has the server's database; in memory without one."""
    seed_data: Path | None = None
    """The file with what the extension reads."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    """Rules of the servers that it may call."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went."""

    invocation: Invocation
    manifest: Manifest
    content_hash: str
    observation: Observation

    @property
    def succeeded(self) -> bool:
        """Whether the extension responded, with a status below 500."""
        response = self.observation.response
        return response is not None and response.status < 500

    @property
    def dropped_headers(self) -> list[str]:
        """Given headers that a gateway does not hand to an extension."""
        used = {*TO_GUEST, "x-request-id", "x-idempotency-key"}
        return sorted(self.invocation.headers.keys() - used)

    def denied(self) -> dict[str, list[str]]:
        """Capabilities that were missing, each with the operations that wanted them."""
        missing: dict[str, list[str]] = {}
        granted = {*self.invocation.grants, *DEFAULT_CAPABILITIES}
        for call in self.observation.host_calls:
            if call.status == "denied" and OPERATIONS[call.operation].capability not in granted:
                operations = missing.setdefault(OPERATIONS[call.operation].capability, [])
                if call.operation not in operations:
                    operations.append(call.operation)
        return missing

    def next_steps(self) -> list[str]:
        """What would help, where a capability or time was missing."""
        steps = []
        for capability, operations in self.denied().items():
            declared = capability in self.manifest.capabilities
            declare = "" if declared else f"declare {capability} in manifest.json, then "
            steps.append(
                f"{' and '.join(operations)} was denied; {declare}grant it with --grant {capability}."
            )
        if "cap:http.fetch" in self.invocation.grants and any(
            call.operation == "http.fetch" and call.status == "denied" for call in self.observation.host_calls
        ):
            steps.append(
                "A server was not allowed; allow it with --allow-host and the rule that the reply names."
            )
        if isinstance(self.observation.error, DeadlineExceeded):
            steps.append("Give it more time with --timeout.")
        return steps


def carry_out(invocation: Invocation) -> Outcome:
    """Install the extension on an embedded Alga and call it once.

    Raises an ``AlgaError`` when it could not be called; how a call ended is in the outcome. Raises click's usage
    error for a grant that the manifest does not declare.
    """
    _refuse_bare_module(Path(invocation.path))
    manifest = read_bundle(invocation.path).manifest
    _check_grants(invocation, manifest)
    with_allowed_hosts(invocation.allowed_hosts)
    check_in_subprocess()
    return run(_carry_out, invocation)


async def _carry_out(invocation: Invocation) -> Outcome:
    embedded = EmbeddedAlga(
        settings=with_allowed_hosts(invocation.allowed_hosts),
        database_file=invocation.state,
        seed_data=invocation.seed_data,
        secrets_of=lambda _: invocation.secrets,
    )
    async with embedded as alga:
        install = alga.install if invocation.state is None else alga.keep_installed
        installed = await install(
            invocation.path,
            tenant_id=invocation.tenant_id,
            grants=set(invocation.grants) - DEFAULT_CAPABILITIES,
            config=invocation.config,
        )
        path, _, query = invocation.route.partition("?")
        observation = await installed.call(
            invocation.method,
            path,
            body=invocation.body,
            headers=invocation.headers,
            query=query,
            timeout_ms=invocation.timeout_ms,
        )
        if observation.error is not None:
            _name_extension(observation.error, installed.manifest)
        return Outcome(invocation, installed.manifest, installed.content_hash, observation)


def _name_extension(error: AlgaError, manifest: Manifest) -> None:
    """Say the extension's name and version instead of ids that were made for this one call."""
    rest = {key: value for key, value in error.where.items() if key not in {"version", "request_id"}}
    error.where = {**rest, "extension": f"{manifest.name} {manifest.version}"}


def _refuse_bare_module(path: Path) -> None:
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            bare = file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return  # reading the bundle raises the reason
    if bare:
        raise BundleInvalid(
            f"{path} is a module without a manifest, so it has no endpoints to call.",
            hint=f"Give the extension's folder; `alga-runner inspect {path}` describes the module alone.",
        )


def _check_grants(invocation: Invocation, manifest: Manifest) -> None:
    undeclared = sorted(set(invocation.grants) - set(manifest.capabilities) - DEFAULT_CAPABILITIES)
    if undeclared:
        declared = ", ".join(manifest.capabilities) or "none"
        raise click.BadParameter(
            f"the manifest of {manifest.name} does not declare {', '.join(undeclared)}; it declares {declared}.",
            param_hint="'--grant'",
        )
