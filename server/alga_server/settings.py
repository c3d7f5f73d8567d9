"""Every setting of the reference Alga server: its name, its default, its meaning.

A setting is given by name or found in the environment as ``ALGA_SERVER_`` and its name in capitals.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal, LiteralString, Self

from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from alga_common.environment import EnvironmentFault
from alga_common.settings import EnvironmentSettings, Token
from alga_common.wire import MAX_ARCHIVE_BYTES, WELL_KNOWN_TOKENS
from alga_runner.errors import SettingsError

ADMIN = "admin"
"""The name of ``admin_token``'s owner in the audit log."""

UI_PROXY_PREFIX = "/api/ui-proxy"
"""Where the server answers the routes of its seed data: a runner's ``UI_PROXY_BASE_URL`` ends in it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

UPSTREAM_VARIABLES = (
    "RUNNER_BASE_URL",
    "RUNNER_BACKEND",
    "RUNNER_DOCKER_HOST",
    "RUNNER_PUBLIC_BASE",
    "RUNNER_CONFIG_API_TOKEN",
    "EXT_GATEWAY_TIMEOUT_MS",
)
"""Variables with which Alga's own server finds and calls a runner: no effect here (alga-contract 1.9)."""


class ServerSettings(EnvironmentSettings):
    """The server's settings."""

    model_config = SettingsConfigDict(env_prefix="ALGA_SERVER_")

    command_variables: ClassVar = ("ALGA_SERVER_DEBUG", "ALGA_SERVER_URL")

    database_url: str = Field(
        default="sqlite://",
        repr=False,  # it may hold a password
        description="SQLAlchemy URL of the storage. `sqlite://` lives in memory and ends with the server; "
        "`sqlite:///path/to/file.db` stays; `postgresql://user:password@host/database` may be shared by many servers.",
    )
    runner_token: Token | None = Field(
        default=None,
        description="What the runner sends as `x-runner-auth`. Unset: every host call is refused.",
    )
    admin_token: Token | None = Field(
        default=None,
        description="What an admin sends as `authorization: Bearer <token>`. Unset: every admin call is refused.",
    )
    admin_tokens: SecretStr | None = Field(
        default=None,
        description="Tokens of further admins, each with a name for the audit log: `alice:<token> bob:<token>`, "
        "separated by spaces or commas. The name of `admin_token` is `admin`.",
    )
    gateway_token: Token | None = Field(
        default=None,
        description="What the session layer before the gateway sends as `authorization: Bearer <token>`. "
        "Unset: every call of the gateway is refused.",
    )
    require_execution_token: bool = Field(
        default=True,
        description="Whether a host call must carry the token of the execution it speaks for, which expires shortly "
        "after that execution's time. Without it, anyone with the runner's token can speak for every install.",
    )
    runner_url: str = Field(
        default="http://127.0.0.1:8080",
        description="Base URL of the runner that executes: its `/v1/execute` is called.",
    )
    runner_service_token: Token | None = Field(
        default=None,
        description="Sent to the runner as `x-runner-service-token`: the runner's `service_token`.",
    )
    max_runner_calls: int = Field(
        default=200,
        ge=1,
        description="Concurrent executions of this server; one more waits a moment, then is refused. A quarter of them "
        "is for runs of schedules alone, the rest for the gateway.",
    )
    max_runner_calls_per_tenant: int | None = Field(
        default=None,
        ge=1,
        description="Those of one tenant, of either kind. Unset: a quarter of the kind's.",
    )
    max_runner_response_bytes: int = Field(
        default=24 * 1024 * 1024,
        ge=1024,
        description="Bytes of the runner's answer: JSON, a body of 16 MiB in base64 fits.",
    )
    max_connections: int | None = Field(
        default=None,
        ge=1,
        description="Open connections of the server. Unset: half of the files that it may open.",
    )
    max_connections_per_address: int | None = Field(
        default=None,
        ge=1,
        description="Those with one address. Unset: half of `max_connections`; a proxy in front is one address.",
    )
    max_gateway_body_bytes: int = Field(
        default=10 * 1024 * 1024, ge=1, description="Bytes of the body of a call of the gateway."
    )
    max_gateway_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1,
        description="Bytes of the bodies of all calls of the gateway that are under way; each takes about four times "
        "as much memory. One tenant has at most a quarter, or one largest body.",
    )
    execution_timeout_ms: int = Field(
        default=30_000,
        ge=1,
        le=3_600_000,
        description="Wall time that an execution is given; a runner gives at most its `max_timeout_ms`.",
    )
    execution_memory_mb: int = Field(
        default=256, ge=1, le=4096, description="Linear memory that an execution is given, in MiB."
    )
    warmup_timeout_ms: int = Field(
        default=45_000,
        ge=0,
        le=300_000,
        description="How long publishing, installing and upgrading wait for the runner to load the version ahead; the "
        "runner goes on after that. 0: it is not asked.",
    )
    development: bool = Field(
        default=False,
        description="Accept the well-known tokens of example configurations, such as `changeme`. "
        "The log has what extensions log, too. Never set it where others can reach the server.",
    )
    bundle_store: Path | None = Field(
        default=None,
        description="Folder that gets the bundle of every install, for runners to fetch. "
        "Unset: bundles stay in the database.",
    )
    seed_data: Path | None = Field(
        default=None,
        description="File, YAML or JSON, with the clients, services and routes that extensions read: "
        "[docs/extension-data.md](extension-data.md#seed-data). Unset: there are none.",
    )
    max_schedules_per_install: int = Field(
        default=50, ge=0, description="Schedules one install may have, enabled or not."
    )
    min_schedule_interval_minutes: int = Field(
        default=5, ge=1, le=60, description="Shortest time between two firings of one schedule."
    )
    schedule_changes_per_minute: int = Field(
        default=10,
        ge=1,
        description="How often an extension may create, update or delete a schedule of one install, over a long time.",
    )
    schedule_changes_burst: int = Field(
        default=50,
        ge=1,
        description="How many such changes it may make in a burst; they are refilled at the rate above. "
        "Requests that are refused do not count.",
    )
    job_engine: Literal["embedded", "procrastinate"] = Field(
        default="embedded",
        description="What brings due schedules to this server: `embedded`, it looks for them; or `procrastinate`, a "
        "queue in PostgreSQL. The same for all servers on one database.",
    )
    dispatch_schedules: bool = Field(
        default=True,
        description="Whether this server fires schedules that come due. Several may: each time fires once.",
    )
    dispatch_poll_seconds: float = Field(
        default=15.0,
        ge=1,
        description="How often the server looks for schedules that other processes changed. "
        "It sees its own changes immediately.",
    )
    late_after_seconds: float = Field(
        default=60.0,
        ge=1,
        description="How late a schedule's time may fire and count as on time; later, it was missed. "
        "More than `dispatch_poll_seconds`.",
    )
    max_schedule_runs: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="Concurrent runs of schedules on this server; one tenant has at most three quarters of them.",
    )
    run_lease_seconds: float = Field(
        default=60.0,
        ge=3,
        description="How long a run is believed to be under way when its server does not say so again; "
        "it does three times as often. Then the run is lost and its schedule free.",
    )
    run_history_per_install: int = Field(
        default=1000,
        ge=1,
        description="Ended runs kept per install, and up to a tenth more for each server; the oldest go first.",
    )
    reconcile_seconds: float = Field(
        default=300.0,
        ge=1,
        description="How often the server looks for schedules whose job is not as it should be, and repairs them; "
        "and when it starts.",
    )
    shutdown_grace_seconds: float = Field(
        default=10.0, ge=0, description="How long a stopping server waits for runs that are under way."
    )
    max_request_bytes: int = Field(
        default=1024 * 1024, ge=1024, description="Bytes of a JSON request's body."
    )
    max_bundle_bytes: int = Field(
        default=MAX_ARCHIVE_BYTES,
        ge=1024,
        le=MAX_ARCHIVE_BYTES,
        description="Bytes of a bundle's archive, compressed.",
    )
    database_threads: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Concurrent reads of PostgreSQL; half as many writes run concurrently, and a server has that many "
        "connections in all. A file is read by two at most, and writes of it take turns.",
    )

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Settings from ``values`` and the environment. Raises ``SettingsError``, which names setting and variable."""
        try:
            return cls.read(**values)
        except EnvironmentFault as fault:
            raise SettingsError.of(fault) from None

    def usable_token(self, token: SecretStr | None) -> str | None:
        """``token`` if it can guard anything: set, not blank, and not well-known outside of development."""
        value = token.get_secret_value().strip() if token else ""
        if not value or (value.lower() in WELL_KNOWN_TOKENS and not self.development):
            return None
        return value

    def usable_admin_tokens(self) -> dict[str, str]:
        """The tokens of ``admin_token`` and ``admin_tokens`` that can guard anything, by the names of their admins."""
        tokens = {ADMIN: self.admin_token, **_named_tokens(self.admin_tokens)}
        usable = {name: self.usable_token(token) for name, token in tokens.items()}
        return {name: token for name, token in usable.items() if token is not None}

    @field_validator("admin_tokens")
    @classmethod
    def _names_are_unambiguous(cls, tokens: SecretStr | None) -> SecretStr | None:
        _named_tokens(tokens)
        return tokens


def _named_tokens(tokens: SecretStr | None) -> dict[str, SecretStr]:
    """Read ``alice:token bob:token``. Raises ``PydanticCustomError``, whose sentence has no token in it."""
    named: dict[str, SecretStr] = {}
    entries = re.split(r"[\s,]+", tokens.get_secret_value().strip(" ,\t\n")) if tokens else []
    for number, entry in enumerate(filter(None, entries), start=1):
        name, _, token = entry.partition(":")
        if not token or not _NAME.fullmatch(name):
            raise PydanticCustomError(
                "admin_tokens", "entry {number} is not a name, a colon and a token", {"number": number}
            )
        if name == ADMIN or name in named:
            raise PydanticCustomError(
                "admin_tokens", "entry {number} has the name of another token", {"number": number}
            )
        named[name] = SecretStr(token)
    if len({token.get_secret_value() for token in named.values()}) < len(named):
        raise _bad_tokens("two names have the same token")
    return named


def _bad_tokens(sentence: LiteralString, number: int = 0) -> PydanticCustomError:
    return PydanticCustomError("admin_tokens", sentence, {"number": number})
