"""Every setting of the runner: its name, its environment variable, its default.

A setting is given to ``Settings`` by name or found in the environment; names Alga already uses are kept
(alga-contract 6), the rest start with ``ALGA_RUNNER_``. ``docs/settings.md`` lists them all, and a test keeps it so.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from alga_common.environment import EnvironmentFault
from alga_common.settings import EnvironmentSettings, Token, Variables
from alga_common.system.memory import available_bytes

from .errors import SettingsError

MIB = 1024 * 1024

BundleEntries = Literal["refuse", "skip"]
"""What becomes of an archive with entries that no bundle has: it is refused, or they are left out."""

UPSTREAM_VARIABLES = ("RUST_LOG", "WASM_POOL_TOTAL_COMPONENTS", "RUNTIME_LIMITS")
"""Variables of Alga's runner that have no effect here (alga-contract 6)."""


PART_OF_MEMORY = 0.8
"""What processes take at most, together, of the memory that there is."""


def process_memory_mb(workers: int = 1) -> int:
    """``max_process_memory_mb`` where it is not set."""
    return max(64, int(available_bytes() * PART_OF_MEMORY) // workers // MIB)


class Settings(EnvironmentSettings):
    """The runner's settings. Bytes are bytes, ``_ms`` milliseconds, ``_mb`` MiB, as in the execute request."""

    model_config = SettingsConfigDict(env_prefix="ALGA_RUNNER_")

    command_variables: ClassVar = (
        "ALGA_RUNNER_DEBUG",
        "ALGA_RUNNER_HOST",
        "ALGA_RUNNER_PORT",
        "ALGA_RUNNER_WORKERS",
    )

    # The Alga server that host calls go to.
    server_url: Annotated[str | None, Variables(("STORAGE_API_BASE_URL", "REGISTRY_BASE_URL"))] = Field(
        default=None,
        description="Base URL of the Alga server that answers host calls. Unset: host calls answer `unavailable`.",
    )
    server_token: Annotated[Token | None, Variables(("RUNNER_STORAGE_API_TOKEN", "RUNNER_SERVICE_TOKEN"))] = (
        Field(
            default=None,
            description="Sent to the Alga server as `x-runner-auth`.",
        )
    )
    server_dialect: Literal["alga", "prd"] = Field(
        default="alga",
        description="How the Alga server is asked: `alga` as Alga's own, by one route per install; "
        "`prd` as the reference server, by one per operation.",
    )
    server_unknown_members: Literal["refuse", "drop"] = Field(
        default="refuse",
        description="What happens to members of a schedule that servers of the dialect do not understand: "
        "`refuse`, the guest reads `validation-failed`; `drop`, they are left out and the call succeeds.",
    )
    server_timeout_ms: int = Field(
        default=30_000,
        ge=1,
        description="Longest wait for one answer of the Alga server; the deadline can be sooner.",
    )

    max_server_connections: int = Field(
        default=200,
        ge=1,
        description="Concurrent requests to the Alga server; more wait, within their deadlines.",
    )
    max_server_connections_per_tenant: int | None = Field(
        default=None,
        ge=1,
        description="Those of one tenant. Unset: a quarter of `max_server_connections`.",
    )

    # Guests' requests to other servers.
    egress_allow: str = Field(
        default="",
        description="Where guests' requests may go: rules like `https://api.example.com`, `*.example.com` or "
        "`http://10.0.0.7:8080`, separated by commas. Without a scheme a rule is for https, without a port for the "
        "scheme's own; `:*` is any port. Unset, and no `egress_allowlist`: nowhere.",
    )
    egress_allowlist: Annotated[str, Variables(("EXT_EGRESS_ALLOWLIST",))] = Field(
        default="",
        description="The same in Alga's form: hosts, each with all names below it, http and https, on any port. "
        "Unlike there, an empty list allows nothing.",
    )
    egress_allow_addresses: str = Field(
        default="",
        description="Addresses that are not the internet's (private, loopback and so on) and may be connected to all "
        "the same, where a rule allows the name: addresses and networks like `10.1.2.0/24`, separated by commas.",
    )
    egress_timeout_ms: int = Field(
        default=30_000, ge=1, description="Longest time of one such request; the deadline can be sooner."
    )
    max_egress_request_bytes: int = Field(default=4 * MIB, ge=0, description="Bytes of its body.")
    max_egress_response_bytes: int = Field(
        default=4 * MIB, ge=0, description="Bytes of its answer's body, compressed and unpacked."
    )
    max_egress_requests: int = Field(
        default=100, ge=1, description="Concurrent ones; more wait, within their deadlines."
    )
    max_egress_requests_per_tenant: int | None = Field(
        default=None, ge=1, description="Those of one tenant. Unset: a quarter of `max_egress_requests`."
    )

    # Routes of the host's user interface.
    ui_proxy_url: Annotated[str | None, Variables(("UI_PROXY_BASE_URL",))] = Field(
        default=None,
        description="Base URL of the host's routes that extensions may call. Unset: such calls answer `not-found`.",
    )
    ui_proxy_timeout_ms: Annotated[int, Variables(("UI_PROXY_TIMEOUT_MS",))] = Field(
        default=5_000, ge=1, description="Longest time of one such call; the deadline can be sooner."
    )
    ui_proxy_auth_key: Annotated[Token | None, Variables(("UI_PROXY_AUTH_KEY",))] = Field(
        default=None, description="Sent with each such call as `x-runner-auth`."
    )

    # Secrets that Vault sealed.
    vault_url: Annotated[str | None, Variables(("VAULT_ADDR", "ALGA_VAULT_ADDR"))] = Field(
        default=None,
        description="Vault whose transit engine opens envelopes of secrets. Unset: only inline envelopes are opened.",
    )
    vault_namespace: Annotated[str | None, Variables(("VAULT_NAMESPACE",))] = Field(
        default=None, description="Sent to Vault as `X-Vault-Namespace`."
    )
    vault_transit_mount: Annotated[str, Variables(("ALGA_VAULT_TRANSIT_MOUNT",))] = Field(
        default="transit", description="Mount of the engine for envelopes that name none."
    )
    vault_token_file: Annotated[str, Variables(("ALGA_VAULT_TOKEN_FILE",))] = Field(
        default="/run/secrets/alga_vault_token",
        description="File with the token for Vault, read each time, so that an agent may renew it.",
    )

    # The HTTP service.
    service_token: Annotated[Token | None, Variables(("RUNNER_SERVICE_TOKEN",))] = Field(
        default=None,
        description="What callers of `/v1/execute` send as `x-runner-service-token`. "
        "Unset: the service starts for development only.",
    )
    allow_unauthenticated_execute: bool = Field(
        default=False,
        description="Admit callers of `/v1/execute` that send no `x-runner-service-token`; a wrong one is refused all "
        "the same. Two of Alga's three callers send none. Then the network alone decides who may execute: "
        "[drop-in](drop-in.md).",
    )
    timeout_margin_percent: float = Field(
        default=2.0,
        ge=0,
        le=10,
        description="How much earlier than `limits.timeout_ms` an execution over HTTP ends, so that its error reaches "
        "a caller that stops waiting then: this much of it, but 50 ms at least and a tenth at most. 0: no earlier.",
    )
    max_connections: int | None = Field(
        default=None,
        ge=1,
        description="Open connections of one process. Unset: half of the files that it may open.",
    )
    max_connections_per_address: int | None = Field(
        default=None,
        ge=1,
        description="Those with one address. Unset: half of `max_connections`; a proxy in front is one address.",
    )
    max_http_body_bytes: int = Field(
        default=24 * MIB,
        ge=1,
        description="Bytes of an execute request: room for a body of `max_body_bytes` in base64.",
    )
    http_body_timeout_ms: int = Field(
        default=30_000, ge=1, description="Longest time an HTTP request's body may take to arrive."
    )
    max_http_bytes: int = Field(
        default=512 * MIB,
        ge=1,
        description="Bytes of all requests that are being read, queued or executed, as they came; "
        "each counts 16 KiB on top of its body. Decoded they take about three times as much.",
    )
    max_http_bytes_per_tenant: int | None = Field(
        default=None,
        ge=1,
        description="Those of one tenant. Unset: a quarter of `max_http_bytes`. One largest request always fits.",
    )
    idempotency_ttl_ms: int = Field(
        default=86_400_000, ge=1, description="How long a reply is stored for its idempotency key."
    )
    idempotency_max_replies: int = Field(
        default=10_000,
        ge=0,
        description="Replies stored for idempotency keys; one tenant has at most a quarter.",
    )
    idempotency_max_bytes: int = Field(
        default=64 * MIB,
        ge=0,
        description="Bytes of all those replies; one tenant has at most a quarter, or one largest reply.",
    )
    shutdown_grace_ms: int = Field(
        default=30_000,
        ge=0,
        description="How long executions may go on after the runner was asked to stop.",
    )
    worker_max_rss_mb: int = Field(
        default=2_048,
        ge=0,
        description="Resident memory of one worker process; one that stays above it is replaced, after what it has "
        "under way has ended. 0 is no bound. Only with `--workers` 2 or more.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least severe log line that `alga-runner serve` writes. `debug` has a line for every request and "
        "host call; `info` sums those that went well in the line of their execution.",
    )
    log_guest_lines: bool = Field(
        default=False,
        description="Whether the runner's log has what extensions log, too: at most 200 lines a second over a long "
        "time. That may be their tenants' data. `serve --dev` sets it unless you do.",
    )

    tracing: bool = Field(
        default=False,
        description="Whether executions and host calls are spans of OpenTelemetry; needs `alga-runner[otel]`. "
        "`serve` sends them to `OTEL_EXPORTER_OTLP_ENDPOINT`, by OTLP over HTTP.",
    )

    debug_redis_url: Annotated[SecretStr | None, Variables(("RUNNER_DEBUG_REDIS_URL",))] = Field(
        default=None,
        description="Redis server that gets each line that extensions log, in a stream for each tenant and "
        "extension; needs `alga-runner[redis]`. That may be their tenants' data. Unset: no stream.",
    )
    debug_redis_password: Annotated[SecretStr | None, Variables(("RUNNER_DEBUG_REDIS_PASSWORD",))] = Field(
        default=None, description="Its password, unless the URL has it."
    )
    debug_redis_stream_prefix: Annotated[str, Variables(("RUNNER_DEBUG_REDIS_STREAM_PREFIX",))] = Field(
        default="ext-debug:", description="What a stream's name starts with: then come `tenant:extension`."
    )
    debug_redis_max_events: Annotated[int, Variables(("RUNNER_DEBUG_REDIS_MAXLEN",))] = Field(
        default=2_000, ge=1, description="About how many events each stream keeps, the newest."
    )
    debug_max_event_bytes: Annotated[int, Variables(("RUNNER_DEBUG_MAX_EVENT_BYTES",))] = Field(
        default=8 * 1024, ge=64, le=MIB, description="Bytes of an event's message; a longer one is cut."
    )

    # The pages of extensions.
    registry_url: Annotated[str | None, Variables(("REGISTRY_BASE_URL",))] = Field(
        default=None,
        description="Server that knows which tenant has which extension, and which host belongs to which; its path is "
        "not used. Unset: no page is valid, and `/` leads nowhere.",
    )
    registry_key: Annotated[Token | None, Variables(("ALGA_AUTH_KEY",))] = Field(
        default=None, description="Sent to it as `x-api-key`. Unset: what `registry_key_file` holds."
    )
    registry_key_file: Annotated[str, Variables(("ALGA_AUTH_KEY_FILE",))] = Field(
        default="/vault/secrets/alga_auth_key",
        description="File of that key, read once a second at most; one that is not there is no key.",
    )
    ui_strict_validation: Annotated[bool, Variables(("EXT_STATIC_STRICT_VALIDATION",))] = Field(
        default=True,
        description="Serve pages of valid installs alone. Off: the pages of every bundle in the store, to everyone who "
        "knows tenant, extension and content hash.",
    )
    ui_max_file_bytes: Annotated[int | None, Variables(("EXT_STATIC_MAX_FILE_BYTES",))] = Field(
        default=None,
        ge=0,
        description="Bytes of a page's file; a larger one is 413. Unset: as bundles may have.",
    )
    ui_cache_max_bytes: int = Field(
        default=128 * MIB,
        ge=0,
        description="Bytes of pages kept in memory; one tenant has at most a quarter, larger pages are unpacked anew.",
    )
    ui_content_security_policy: Annotated[str | None, Variables(("EXT_UI_CONTENT_SECURITY_POLICY",))] = Field(
        default=None, description="Replaces the whole `content-security-policy` of pages."
    )
    ui_frame_ancestors: Annotated[str | None, Variables(("EXT_UI_FRAME_ANCESTORS",))] = Field(
        default=None,
        description="Who may show pages in a frame: added to the policy as `frame-ancestors`, if it is not replaced.",
    )

    # Where bundles come from.
    bundle_store: Annotated[str | None, Variables(("BUNDLE_STORE_BASE",))] = Field(
        default=None,
        description="Where bundles are published: a folder, as a path or a `file://` URL, or the `http(s)://` URL of "
        "an object store, its bucket the first segment of the path. Unset: only bundles given by hand run.",
    )
    signatures: Literal["off", "warn", "require"] = Field(
        default="off",
        description="Signatures that bundles need to run: `off`, none; `require`, one of a key in "
        "`signing_trust_bundle`; `warn`, the same, but without one they run and that is logged. The log names the "
        "signer of each execution.",
    )
    signing_trust_bundle: Annotated[str | None, Variables(("SIGNING_TRUST_BUNDLE",))] = Field(
        default=None,
        description="File of the keys whose signatures count, a line each: `ed25519 KEY NAME`. Read at the start.",
    )
    s3_access_key: Annotated[Token | None, Variables(("S3_ACCESS_KEY", "MINIO_ACCESS_KEY"))] = Field(
        default=None,
        description="Key of an S3-compatible store; with the secret one, requests to it are signed.",
    )
    s3_secret_key: Annotated[Token | None, Variables(("S3_SECRET_KEY", "MINIO_SECRET_KEY"))] = Field(
        default=None, description="Secret key of that store."
    )
    s3_region: Annotated[str, Variables(("S3_REGION",))] = Field(
        default="us-east-1", description="Region of that store."
    )
    bundle_fetch_timeout_ms: int = Field(
        default=60_000,
        ge=1,
        description="Longest time that fetching one bundle over HTTP may take, further attempts included.",
    )
    bundle_cache: Annotated[str | None, Variables(("EXT_CACHE_ROOT",))] = Field(
        default=None,
        description="Folder for bundles that were fetched over HTTP, of this user alone (mode 0700); it is made if it "
        "is not there. Unset: `alga-runner/bundles` in `XDG_CACHE_HOME`, or in `~/.cache`. `off`: none is kept.",
    )
    bundle_cache_max_bytes: Annotated[int, Variables(("EXT_CACHE_MAX_BYTES",))] = Field(
        default=2048 * MIB,
        ge=1,
        description="Bytes kept in `bundle_cache`; the longest unused bundle is removed first.",
    )
    bundle_entries: BundleEntries = Field(
        default="refuse",
        description="What happens to an archive with links, absolute or climbing paths, special files, backslashes "
        "or one path twice: `refuse`, it does not run; `skip`, such entries are left out and logged, as Alga's does.",
    )

    # Time.
    default_timeout_ms: int = Field(
        default=30_000, ge=1, description="Wall time of an execution whose request names none."
    )
    max_timeout_ms: int = Field(
        default=300_000, ge=1, description="Ceiling for the wall time a request asks for."
    )
    default_cpu_ms: int = Field(
        default=10_000, ge=1, description="CPU time of an execution whose request names none."
    )
    max_cpu_ms: int = Field(
        default=60_000,
        ge=1,
        description="Ceiling for the CPU time a request asks for. Waiting for host calls does not count.",
    )
    epoch_tick_ms: int = Field(
        default=1,
        ge=1,
        le=100,
        description="How often a running guest is interrupted, to let others have a turn.",
    )
    native_engine: Literal["auto", "off", "required"] = Field(
        default="auto",
        description="Whether guests of core modules run through the engine's native helper, which "
        "`alga-runner native` builds: `auto`, where it was built; `off`, never; `required`, always, and without it the "
        "runner does not start.",
    )

    # Space.
    max_memory_mb: int = Field(
        default=256,
        ge=1,
        le=4096,
        description="Linear memory of one guest, and ceiling for what a request asks for.",
    )
    max_process_memory_mb: int | None = Field(
        default=None,
        ge=64,
        description="Memory of one process with all its guests. Above it guests are ended with `memory_shortage`, "
        "those of the tenant that has the most; near it a tenant with more than a quarter starts no more. Half of it "
        "bounds what slots keep after their guests, and so how many guests there are. Unset: 80 % of what the cgroup "
        "or the machine has, divided among the workers.",
    )
    max_table_elements: int = Field(
        default=20_000,
        ge=1,
        description="Elements of one guest's table, of 8 bytes each, in addition to its linear memory.",
    )
    wasm_stack_bytes: int = Field(
        default=1024 * 1024, ge=64 * 1024, description="Native stack a guest's own calls may use."
    )
    max_module_bytes: int = Field(default=64 * MIB, ge=1, description="Size of a WebAssembly module.")

    max_loaded_mb: int = Field(
        default=1024,
        ge=1,
        description="Compiled code of the extensions that a process has loaded; one tenant has at most a quarter, "
        "or one extension. Beyond that some not in use are dropped, and loaded again when they are called.",
    )

    # Compiling modules.
    code_cache: str | None = Field(
        default=None,
        description="Folder for compiled code, of this user alone (mode 0700); it is made if it is not there. "
        "Unset: `alga-runner/code` in `XDG_CACHE_HOME`, or in `~/.cache`. `off`: every process compiles for itself.",
    )
    max_code_cache_mb: int = Field(
        default=1024,
        ge=1,
        description="Compiled code kept in `code_cache`; the longest unused is removed first.",
    )
    max_compile_cpu_ms: int = Field(
        default=60_000, ge=1, description="CPU time that compiling one module may take."
    )
    max_compile_ms: int = Field(
        default=180_000,
        ge=1,
        description="Wall time that compiling one module may take, at a low priority if its tenant had much compiled.",
    )
    max_compile_memory_mb: int = Field(
        default=1024,
        ge=16,
        description="Memory that compiling one module may take: about 40 times its size, and as much for its code.",
    )
    max_compilations: int = Field(
        default=3,
        ge=1,
        le=256,
        description="Modules that are compiled concurrently, each on one core; the last place is for short "
        "compilations.",
    )

    # How many concurrently.
    max_guests: int = Field(
        default=1_000,
        ge=1,
        le=20_000,
        description="Concurrent executions in this process: slots of the engine's pool. "
        "Held to what the kernel's `vm.max_map_count` allows; the runner logs the resulting number when it starts.",
    )
    max_guests_per_tenant: int | None = Field(
        default=None,
        ge=1,
        description="Those of one tenant. Unset: a quarter of that number.",
    )
    max_queued: int = Field(
        default=1_000, ge=0, description="Executions that wait for a place; 0: none waits."
    )
    max_queued_per_tenant: int | None = Field(
        default=None, ge=0, description="Those of one tenant. Unset: a quarter of `max_queued`."
    )
    queue_timeout_ms: int = Field(
        default=5_000,
        ge=0,
        description="Longest wait for a place, which counts towards the execution's wall time.",
    )

    # What one execution may do.
    max_host_calls: int = Field(
        default=10_000, ge=1, description="Calls of Alga's functions, `alga:*`, by one execution."
    )
    max_system_calls: int = Field(
        default=1_000_000,
        ge=1,
        description="Calls of any function of the host by one execution, WASI's and `env`'s included.",
    )
    max_copied_bytes: int = Field(
        default=256 * MIB,
        ge=1,
        description="Bytes one execution may have copied across its border, both ways. A reply that the guest has to "
        "fetch counts once, whether it does or not.",
    )
    max_request_bytes: int = Field(
        default=64 * 1024,
        ge=1,
        description="Bytes of a host call's request, apart from bodies, values and payloads.",
    )
    max_items: int = Field(
        default=10_000, ge=1, description="Containers in one message, and members of each."
    )
    max_body_bytes: int = Field(
        default=16 * MIB, ge=1, description="Bytes of a request's or response's body."
    )
    max_component_body_bytes: int = Field(
        default=MIB,
        ge=1,
        description="The same for components, if it is less: a body takes 48 bytes of memory a byte as it crosses a "
        "component's border, and more than 2.6 MB never do.",
    )
    max_log_line_bytes: int = Field(
        default=8 * 1024, ge=1, description="Bytes of one log line; the rest is cut."
    )
    max_log_lines: int = Field(default=10_000, ge=1, description="Log lines of one execution.")
    max_log_bytes: int = Field(default=4 * MIB, ge=1, description="Bytes of log of one execution.")

    def for_worker(self, number: int, workers: int) -> Self:
        """What worker ``number`` of 1 to ``workers`` is held to: of each bound of a tenant on the machine its share.

        Those are the settings whose names end with ``_per_tenant``; the others hold for each process. Shares are
        whole, at least 1, and together the bound. The machine's memory is divided, too, where no
        bound is set. Raises ``SettingsError`` for a bound smaller than ``workers``; 0
        and an unset one stay what they are.
        """
        shares: dict[str, int] = {}
        for name in type(self).model_fields:
            bound = getattr(self, name)
            if not (name.endswith("_per_tenant") and bound):
                continue
            if bound < workers:
                raise SettingsError(
                    f"The setting {self.named(name)} is {bound}, which cannot be divided among {workers} workers.",
                    hint=f"Set it to {workers} or more, or start fewer workers.",
                )
            shares[name] = bound // workers + (number <= bound % workers)
        if self.max_process_memory_mb is None:
            shares["max_process_memory_mb"] = process_memory_mb(workers)
        return self.model_copy(update=shares)

    def document(self) -> dict[str, Any]:
        """Every setting by name, secrets in clear: for a process that is to have the same ones."""
        plain = self.model_dump()
        secrets = {
            name: value.get_secret_value() for name, value in plain.items() if isinstance(value, SecretStr)
        }
        return {"plain": {name: plain[name] for name in plain if name not in secrets}, "secret": secrets}

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Settings:
        """The settings in ``document``, which were validated there; the environment is not read."""
        values: dict[str, Any] = dict(document["plain"])
        values |= {name: SecretStr(value) for name, value in document["secret"].items()}
        return cls.model_construct(**values)

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Settings from ``values`` and the environment. Raises ``SettingsError``, which names setting and variable."""
        try:
            return cls.read(**values)
        except EnvironmentFault as fault:
            raise SettingsError.of(fault) from None
