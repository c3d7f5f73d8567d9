"""The front door: one execution of one extension's handler."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from time import monotonic, perf_counter
from types import TracebackType
from typing import Self, Unpack

import anyio
from anyio.abc import TaskGroup

from alga_common.readiness import Finding
from alga_common.sharing.large_work import LargeWorkQueue

from .alga import AlgaServer, UiProxy, connect, connect_ui_proxy
from .bundles import Bundle, BundleSource, HeldBundles
from .bundles.stores import bundle_source
from .capabilities import Execution, Gate, LogLimits, LogLine, host_call_statuses
from .capabilities.operation import RECORDED_BYTES
from .egress import Egress
from .egress import connect as connect_egress
from .engine import (
    Budget,
    GuestLimits,
    deferred_interrupts,
    engine_context,
    require_sound,
)
from .errors import AlgaError, DeadlineExceeded, EngineUnavailable, UnknownCapabilities
from .execution.admission import Admission, Bounds
from .execution.calls import CallOptions, call_request
from .execution.failure import LOADING, add_context, log_detail
from .execution.margin import NO_MARGIN, Margin
from .execution.memory_guard import MemoryGuard
from .execution.observation import Observation
from .execution.programs import Programs, cache_bounds, module_loader
from .execution.sizing import engine_config, report_capacity, report_native, session_limits
from .guests import Host, Program
from .models import (
    KNOWN_CAPABILITIES,
    ExecuteRequest,
    ExecuteResponse,
    ExecutionContext,
    granted_capabilities,
    unknown_capabilities,
)
from .secrets import ExecutionSecrets
from .secrets import connect as connect_secrets
from .settings import MIB, Settings, process_memory_mb
from .telemetry import DebugStream, Telemetry, Tracing

STRAGGLERS_S = 5
"""How long a runner that ends waits for the executions it has cancelled: an ``AlgaServer`` may delay cancellation."""
logger = logging.getLogger("alga_runner")


class Runner:
    """Executes handlers. Use it as ``async with Runner(settings) as runner``.

    ``alga`` answers host calls (default: the server the settings name), ``bundles`` is where extensions are found
    (default: the store the settings name), ``egress`` sends guests' requests to other servers (default: where the
    settings allow it), ``ui_proxy`` calls routes of the host (default: those that the settings name),
    ``clock_ns`` is the wall clock that guests see, in nanoseconds since 1970.
    One runner serves any number of concurrent executions, on the event loop that entered it, which is asyncio's. When
    it ends, they end. ``call`` is for programs that hold a bundle, ``execute`` for requests as the HTTP API has them.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        alga: AlgaServer | None = None,
        bundles: BundleSource | None = None,
        egress: Egress | None = None,
        ui_proxy: UiProxy | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Raises ``SettingsError`` for settings that cannot be used; nothing has started yet."""
        self.settings = settings or Settings.load()
        self.telemetry = Telemetry(tracing=Tracing.of(self.settings))
        self.telemetry.expect_host_calls(host_call_statuses())
        self._debug_stream = DebugStream.of(self.settings, self.telemetry.events_dropped)
        self._own_alga = alga is None
        self.large_work = LargeWorkQueue()
        """Does work that would hold the event loop for long."""
        self._alga = alga or connect(self.settings, self.large_work)
        self._own_egress = egress is None
        self._egress = egress or connect_egress(self.settings)
        self._own_bundles = bundles is None
        self._bundles = HeldBundles(bundles or bundle_source(self.settings))
        self._clock_ns = clock_ns
        self._secrets = connect_secrets(self.settings, self._now)
        self._no_secrets = ExecutionSecrets()
        """Of every execution without an envelope: there is nothing to open or to read."""
        self._own_ui_proxy = ui_proxy is None
        self._ui_proxy = ui_proxy or connect_ui_proxy(self.settings)
        self._default_timeout_s = min(self.settings.default_timeout_ms, self.settings.max_timeout_ms) / 1000
        self._default_cpu_s = min(self.settings.default_cpu_ms, self.settings.max_cpu_ms) / 1000
        self._log_limits = LogLimits(
            self.settings.max_log_line_bytes, self.settings.max_log_lines, self.settings.max_log_bytes
        )
        self._stack = AsyncExitStack()
        self._programs: Programs | None = None
        self._under_way: set[Budget] = set()
        self._all_ended: anyio.Event | None = None
        self._max_memory_mb = self.settings.max_process_memory_mb or process_memory_mb()
        self._memory_guard = MemoryGuard(self._max_memory_mb * MIB, self._under_way, self.telemetry)
        self.admission = Admission(Bounds.of(self.settings, self.settings.max_guests), self.telemetry)
        """Decides which executions start and which wait."""

    async def __aenter__(self) -> Self:
        """Make the engine and try it. Raises ``EngineUnavailable``."""
        self._loop = _running_loop()
        async with AsyncExitStack() as stack:
            stack.callback(self.telemetry.close)
            if self._own_alga:
                stack.push_async_callback(self._alga.aclose)
            stack.push_async_callback(self._secrets.aclose)
            if self._own_ui_proxy and self._ui_proxy is not None:
                stack.push_async_callback(self._ui_proxy.aclose)
            if self._own_egress:
                stack.push_async_callback(self._egress.aclose)
            if self._own_bundles:
                stack.push_async_callback(self._bundles.aclose)
            engine = engine_context.engine(engine_config(self.settings, self._max_memory_mb))
            self._most = engine.limits
            self.admission = Admission(Bounds.of(self.settings, engine.capacity.guests), self.telemetry)
            report_capacity(engine, self.admission.bounds, self.settings)
            report_native(self.settings)
            host = Host(
                engine,
                self._gate(),
                session_limits(self.settings),
                clock_ns=self._clock_ns,
                large_work=self.large_work,
            )
            stack.callback(engine_context.stop_idle_tickers)
            modules = module_loader(self.settings, engine, self.telemetry)
            stack.callback(modules.close)
            stack.enter_context(deferred_interrupts())
            require_sound(engine)
            tasks = await anyio.create_task_group().__aenter__()
            stack.push_async_callback(_end, tasks)
            tasks.start_soon(self._memory_guard.run)
            if self._debug_stream is not None:
                tasks.start_soon(self._debug_stream.run)
                stack.push_async_callback(self._debug_stream.finish)
            stack.push_async_callback(self._stop)
            self._programs = Programs(
                self._bundles,
                modules,
                host,
                tasks,
                max_module_bytes=self.settings.max_module_bytes,
                bounds=cache_bounds(self.settings.max_loaded_mb * MIB, engine.capacity.modules),
            )
            self._host = host
            self._stack = stack.pop_all()
        return self

    def _gate(self) -> Gate:
        """What every host call passes; a subclass may put other answers behind it."""
        return Gate(self.telemetry, self.large_work)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.admission.close()
        self._programs = None
        await self._stack.__aexit__(exc_type, exc, traceback)

    async def _stop(self) -> None:
        """End the executions under way, each with an error, and wait until their guests are freed."""
        for budget in self._under_way:
            budget.stop()
        with anyio.move_on_after(STRAGGLERS_S, shield=True):
            if self._under_way:
                self._all_ended = anyio.Event()
                await self._all_ended.wait()

    @property
    def running(self) -> bool:
        """Whether executions are possible: the runner was entered and not left."""
        return self._programs is not None

    async def bundle_store_reachable(self) -> bool:
        """Whether bundles can be fetched."""
        return await self._bundles.reachable()

    async def check_bundle_store(self) -> Sequence[Finding]:
        """What a check of the bundle store finds: reachable, requests accepted."""
        return await self._bundles.check()

    async def fetch_bundle(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """A tenant's bundle, verified. Raises a ``BundleError``."""
        return await self._bundles.fetch(tenant_id, extension_id, content_hash)

    @property
    def bundles_outlive_store(self) -> bool:
        """Whether a bundle that was fetched once runs while the bundle store cannot be reached."""
        return self._bundles.outlives_store

    async def bundle_cache_writable(self) -> bool:
        """Whether fetched bundles can be kept."""
        return await self._bundles.cache_writable()

    @property
    def bundle_cache_max_bytes(self) -> int | None:
        """The bound of the cache of fetched bundles, ``None`` without one."""
        return self._bundles.cache_max_bytes

    async def check_server(self) -> Sequence[Finding]:
        """What a check of the Alga server finds: reachable, token accepted, clocks alike."""
        return await self._alga.check(self._now)

    async def check_vault(self) -> Sequence[Finding]:
        """What a check of Vault finds: reachable, token accepted; nothing without one."""
        vault = self._secrets.vault
        return () if vault is None else await vault.check()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock_ns() / 1e9, UTC)

    async def call(
        self, bundle: Bundle, method: str, path: str, **options: Unpack[CallOptions]
    ) -> ExecuteResponse:
        """Call the handler of ``bundle`` and return its response, of any status.

            bundle = read_bundle("path/to/extension")
            response = await runner.call(bundle, "POST", "/items", json={"name": "first"})
            print(response.status, response.body())

        Nothing is granted but what ``grants`` names. Which endpoints the manifest declares is not checked: the handler
        sees every method and path. Raises what ``execute`` raises, and ``RequestInvalid`` for a bad argument.
        """
        request = call_request(bundle, method, path, **options)
        self._bundles.hold(request.context.tenant_id, bundle)
        return await self.execute(request)

    async def execute(self, request: ExecuteRequest) -> ExecuteResponse:
        """Run the handler of one extension and return its response.

        Raises an ``AlgaError`` when there is no response: ``BundleError`` and ``ModuleError`` before anything ran,
        ``RequestError`` for the request itself, ``ExecutionError`` for how the guest ended.
        """
        carried_out = self._carry_out(request, self._execution(request, 0, NO_MARGIN), NO_MARGIN)
        del request  # the guest reads a document made of it, and may wait for long: here and below
        return await carried_out

    async def observe(
        self, request: ExecuteRequest, *, recorded_bytes: int = RECORDED_BYTES, margin: Margin = NO_MARGIN
    ) -> Observation:
        """Like ``execute``, but returns the outcome, an error included, with the guest's log and every host call.

        About ``recorded_bytes`` of the host calls' arguments and replies are kept. The execution ends by
        ``margin`` before its time limit, for a caller that waits no longer than that.
        """
        started = perf_counter()
        execution = self._execution(request, recorded_bytes, margin)
        fuel = request.limits.fuel
        carried_out = self._carry_out(request, execution, margin)
        del request
        response: ExecuteResponse | None = None
        failure: AlgaError | None = None
        try:
            response = await carried_out
        except AlgaError as error:
            failure = error
        duration_s = perf_counter() - started
        return Observation(
            response,
            failure,
            tuple(execution.log),
            tuple(execution.host_calls),
            duration_s,
            fuel,
            system_calls=execution.system_calls,
            signer=None if self._programs is None else self._programs.signer(execution.context),
        )

    async def warm_up(self, tenant_id: str, extension_id: str, content_hash: str) -> None:
        """Load a tenant's bundle, compiling it if need be, so that its first execution does not wait for that.

        It goes on if the caller is cancelled. Raises a ``BundleError`` or a ``ModuleError`` as ``execute`` would, and
        ``Overloaded`` if too many modules wait to be compiled.
        """
        await self._entered().get(tenant_id, extension_id, content_hash)

    async def _carry_out(
        self, request: ExecuteRequest, execution: Execution, margin: Margin
    ) -> ExecuteResponse:
        """One execution, reported with any outcome."""
        context, timeout_ms = execution.context, request.limits.timeout_ms
        handler = request.http.method, request.http.bare_path
        status, detail, started, programs = "cancelled", None, perf_counter(), self._programs
        http_status: int | None = None
        self.telemetry.execution_began()
        if tracing := self.telemetry.tracing:
            execution.span = tracing.execution(context)
        try:
            executed = self._execute(request, execution)
            del request
            response = await executed
        except AlgaError as error:
            status = error.code
            reported = await add_context(
                error, handler, execution, programs, timeout_s=self.timeout_s(timeout_ms), margin=margin
            )
            detail = log_detail(reported)
            raise reported from error.__cause__
        except Exception:
            status = "internal"
            raise
        else:
            status, http_status = "ok", response.status
            return response
        finally:
            if execution.log:
                self._pass_on_log(execution)
            endpoint, signer = None, None
            if programs is not None:
                endpoint, signer = programs.endpoint_and_signer(context, *handler)
            if execution.span is not None:
                execution.span.end(status, endpoint=endpoint, http_status=http_status)
            self.telemetry.execution(
                status,
                perf_counter() - started,
                context,
                detail=detail,
                endpoint=endpoint,
                http_status=http_status,
                signer=signer,
                host_calls=execution.host_calls,
            )

    def _pass_on_log(self, execution: Execution) -> None:
        if self.settings.log_guest_lines:
            context = execution.context
            for line in execution.log:
                self.telemetry.guest_line(line.level, line.message, context)

    def _pass_on_line(self, context: ExecutionContext, line: LogLine) -> None:
        if self._debug_stream is not None:
            self._debug_stream.push(context, line.stream, line.level, line.message, truncated=line.truncated)

    def _entered(self) -> Programs:
        """The programs of the runner that was entered on this loop. Raises ``EngineUnavailable``."""
        programs = self._programs
        if programs is None:
            raise EngineUnavailable(
                "The runner is not running.", hint="Use it as `async with Runner(settings) as runner`."
            )
        if asyncio.get_running_loop() is not self._loop:
            raise EngineUnavailable(
                "The runner belongs to another event loop.",
                hint="Hand the call to its loop: `asyncio.run_coroutine_threadsafe(runner.call(...), loop)`.",
            )
        return programs

    async def _execute(self, request: ExecuteRequest, execution: Execution) -> ExecuteResponse:
        programs = self._entered()
        if not execution.granted <= KNOWN_CAPABILITIES:
            raise UnknownCapabilities(
                "The request grants capabilities that do not exist:"
                f" {', '.join(unknown_capabilities(request.providers))}.",
                hint="docs/capabilities.md lists them all.",
            )
        context, deadline = request.context, execution.deadline
        admission, tenant_id = self.admission, context.tenant_id
        if not admission.try_enter(tenant_id):
            await admission.enter(tenant_id, deadline)
        try:
            guard = self._memory_guard
            if guard.full or guard.refused:
                guard.require_room(tenant_id)
            program = programs.loaded(tenant_id, context.extension_id, context.content_hash)
            if program is None or deadline <= monotonic():
                program = await self._load(programs, context, deadline)
            budget = Budget(deadline, self._cpu_s(request), tenant_id, self.large_work)
            self._under_way.add(budget)
            if guard.idle:
                guard.wake()
            try:
                limits = self._guest_limits(request)
                executed = self._host.execute(program, request, execution, limits, budget)
                del request
                return await executed
            finally:
                self._under_way.discard(budget)
                if self._all_ended is not None and not self._under_way:
                    self._all_ended.set()
        finally:
            admission.leave(tenant_id)

    async def _load(self, programs: Programs, context: ExecutionContext, deadline: float) -> Program:
        with anyio.move_on_after(deadline - monotonic()):
            program = await programs.get(context.tenant_id, context.extension_id, context.content_hash)
            if self._programs is None:
                raise EngineUnavailable("The runner stopped while the extension was being loaded.")
            if deadline > monotonic():
                return program
        raise DeadlineExceeded(doing=LOADING)

    def _guest_limits(self, request: ExecuteRequest) -> GuestLimits:
        asked = request.limits.memory_mb
        if asked and asked < self.settings.max_memory_mb:
            return GuestLimits(asked * MIB, self._most.table_elements)
        return self._most

    def _cpu_s(self, request: ExecuteRequest) -> float:
        asked = request.limits.cpu_ms
        return self._default_cpu_s if asked is None else min(asked, self.settings.max_cpu_ms) / 1000

    def timeout_s(self, asked: int | None) -> float:
        """Seconds that a request with ``asked`` as its ``timeout_ms`` may take: ``max_timeout_ms`` at most."""
        return self._default_timeout_s if asked is None else min(asked, self.settings.max_timeout_ms) / 1000

    def _execution(self, request: ExecuteRequest, recorded_bytes: int, margin: Margin) -> Execution:
        return Execution(
            request.context,
            granted_capabilities(request.providers),
            self._alga,
            monotonic() + self.timeout_s(request.limits.timeout_ms) - margin.total_s,
            request.execution_token,
            recorded_bytes,
            self._log_limits,
            user=request.user,
            egress=self._egress,
            secrets=self._no_secrets
            if request.secret_envelope is None
            else ExecutionSecrets(self._secrets, request.secret_envelope),
            ui_proxy=self._ui_proxy,
            on_log=None if self._debug_stream is None else self._pass_on_line,
        )


async def _end(tasks: TaskGroup) -> None:
    """Cancel the tasks. Without the caller's error as an argument, the group cannot wrap it in one of its own."""
    tasks.cancel_scope.cancel()
    await tasks.__aexit__(None, None, None)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise EngineUnavailable(
            "The runner works on asyncio alone.", hint='Use anyio.run(..., backend="asyncio").'
        ) from None
