"""Concurrent executions of many tenants, each checked against its own nonce, with a slot for each in flight."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from time import perf_counter

import anyio

from alga_runner import ExecuteRequest, Observation, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.engine import Guest
from alga_runner.guests.http import encode_request
from alga_runner.models import ScheduleInfo

from . import guest
from .kinds import Kind, Plan
from .resident import resident_kb

TENANTS = {"acme": "a", "globex": "g", "initech": "i", "umbrella": "u"}
"""Each tenant and its mark."""

PROVIDERS = ["cap:scheduler.manage"]
EXTENSION = "com.example.storm"
WARM_AT = 20_000
"""Executions after which memory is measured: by then pools, caches and malloc's arenas have what they keep."""

MAX_DESCRIBED = 5
"""Wrong outcomes that are described; the others are only counted."""

TIME = {"timeout_ms": 120_000, "cpu_ms": 60_000}
"""The limits of executions that are not to meet them."""


@dataclass
class Outcome:
    """The result of a storm. Memory is in KB, time in seconds."""

    executions: int = 0
    endings: dict[str, int] = field(default_factory=dict)
    wrong: int = 0
    faults: list[str] = field(default_factory=list)
    """The first wrong outcomes, in words."""
    moved: int = 0
    """Times that a guest was run by another thread than the time before."""
    slots_lost: int = 0
    warm_at: int = 0
    left_kb: int = 0
    seconds: float = 0.0

    def note_ending(self, ending: str) -> None:
        self.executions += 1
        self.endings[ending] = self.endings.get(ending, 0) + 1

    def note_wrong(self, sentence: str) -> None:
        self.wrong += 1
        if len(self.faults) < MAX_DESCRIBED:
            self.faults.append(sentence)


class Server(NoAlgaServer):
    """Answers each host call by its caller's plan, and complains of callers without one."""

    def __init__(self) -> None:
        self.plans: dict[str, tuple[Plan, str]] = {}
        self.asked: dict[str, anyio.Event] = {}
        self.complaints: list[str] = []
        self.silent = False
        self.waiting = 0

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        nonce = identity.request_id or ""
        plan, tenant = self.plans.get(nonce, (None, ""))
        if plan is None or tenant != identity.tenant_id:
            self.complaints.append(f"{identity.tenant_id} asked with {nonce}, which is no request of its own")
            raise AssertionError(self.complaints[-1])
        if plan.silent:
            self.waiting += 1
            self.asked[nonce].set()
            await anyio.sleep_forever()
        for _ in range(plan.iterations):
            await anyio.lowlevel.checkpoint()
        return [schedule_of(identity.tenant_id, nonce)]


def schedule_of(tenant: str, nonce: str) -> ScheduleInfo:
    """The one schedule that the server has for a request."""
    return ScheduleInfo(
        id=nonce,
        endpoint_path="/",
        endpoint_method="GET",
        name=f"{tenant} {nonce}",
        cron="0 * * * *",
        timezone="UTC",
        enabled=True,
    )


class Storm:
    """``in_flight`` concurrent executions, on as many slots. The same ``seed`` gives the same plans."""

    def __init__(self, kind: Kind, *, executions: int, in_flight: int, seed: int) -> None:
        self.outcome = Outcome()
        self._kind = kind
        self._executions = executions
        self._in_flight = in_flight
        self._random = Random(seed)
        self._server = Server()
        self._bundles = MemoryBundles()
        self._hashes = {
            tenant: self._bundles.add(guest.bundle(mark), tenant_id=tenant)
            for tenant, mark in TENANTS.items()
        }
        self._begun = 0

    async def run(self) -> Outcome:
        """Carry all out, then check that every slot is free again."""
        settings = Settings(
            max_guests=self._in_flight,
            max_guests_per_tenant=self._in_flight,
            max_memory_mb=4,
            default_timeout_ms=TIME["timeout_ms"],
        )
        started = perf_counter()
        warm_at = min(self._executions // 2, WARM_AT)
        async with Runner(settings, bundles=self._bundles, alga=self._server) as runner:
            with _counted_moves(self.outcome):
                await self._carry_out(runner, warm_at)
                warm_kb = resident_kb()
                await self._carry_out(runner, self._executions)
                self.outcome.left_kb = resident_kb() - warm_kb
            self.outcome.slots_lost = await self._lost_slots(runner)
        self.outcome.warm_at = warm_at
        self.outcome.seconds = perf_counter() - started
        for complaint in self._server.complaints:
            self.outcome.note_wrong(complaint)
        return self.outcome

    async def _carry_out(self, runner: Runner, until: int) -> None:
        async def one_after_another() -> None:
            while self._begun < until:
                self._begun += 1
                await self._one(runner)

        async with anyio.create_task_group() as tasks:
            for _ in range(self._in_flight):
                tasks.start_soon(one_after_another)

    async def _one(self, runner: Runner) -> None:
        nonce = f"{self._random.getrandbits(4 * guest.NONCE_CHARACTERS):0{guest.NONCE_CHARACTERS}x}"
        tenant = self._random.choice(tuple(TENANTS))
        plan = self._kind(self._random, nonce)
        request = self._request(tenant, plan)
        self._server.plans[nonce] = plan, tenant
        self._server.asked[nonce] = anyio.Event()
        try:
            seen = await self._observe(runner, request, plan)
        except Exception as error:  # noqa: BLE001 - any is an outcome, and a wrong one
            seen, wrong = None, f"{type(error).__name__}: {error}"
        else:
            wrong = None if seen is None else self._fault(plan, tenant, request, seen)
        finally:
            del self._server.plans[nonce], self._server.asked[nonce]
        self.outcome.note_ending(_ending(seen))
        if seen is None and wrong is None and not plan.may_be_cancelled:
            wrong = "it was cancelled without a plan for that"
        if wrong is not None:
            self.outcome.note_wrong(f"{tenant} {nonce} ({plan.ending}): {wrong}")

    def _request(self, tenant: str, plan: Plan) -> ExecuteRequest:
        body = self._random.randbytes(self._random.randrange(1000))
        return ExecuteRequest.model_validate(
            {
                "context": {
                    "tenant_id": tenant,
                    "extension_id": EXTENSION,
                    "install_id": f"install of {tenant}",
                    "version_id": "v1",
                    "request_id": plan.nonce,
                    "content_hash": self._hashes[tenant],
                },
                "http": {
                    "method": "POST",
                    "path": f"/{guest.MARK.decode()}{plan.nonce}{plan.ending}",
                    "body_b64": base64.b64encode(body).decode(),
                },
                "providers": PROVIDERS,
                "limits": TIME | plan.limits,
            }
        )

    async def _observe(self, runner: Runner, request: ExecuteRequest, plan: Plan) -> Observation | None:
        """The outcome; ``None`` when it was cancelled as planned."""
        if not plan.may_be_cancelled:
            return await runner.observe(request)
        task = asyncio.get_running_loop().create_task(runner.observe(request))
        if plan.silent:
            asked = asyncio.ensure_future(self._server.asked[plan.nonce].wait())
            await asyncio.wait((task, asked), return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
        for _ in range(plan.cancel_after or 0):
            await anyio.lowlevel.checkpoint()
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return None

    def _fault(self, plan: Plan, tenant: str, request: ExecuteRequest, seen: Observation) -> str | None:
        """The fault of an execution's outcome, if it is not its own, or not as planned."""
        if any(line.message != plan.nonce for line in seen.log):
            return f"its log has {[line.message for line in seen.log]}"
        if seen.error is not None and seen.error.where.get("request_id") != plan.nonce:
            return f"its error names {seen.error.where}"
        if seen.response is not None:
            rounds = guest.ROUNDS if plan.ending == guest.MOVES else 1
            schedule = schedule_of(tenant, plan.nonce).model_dump(by_alias=True, exclude_none=True)
            reply = {"schedules": [schedule]}
            document = encode_request(request, max_body_bytes=1 << 20)
            expected = guest.response_body(document, plan.nonce, TENANTS[tenant], reply, rounds)
            if seen.response.body() != expected:
                return f"it answered {seen.response.body()!r}, not {expected!r}"
        return plan.expects(plan, seen)

    async def _lost_slots(self, runner: Runner) -> int:
        """How many slots do not take a guest any more: one for each is made to wait in a host call."""
        self._server.waiting = 0

        async def wait(plan: Plan, tenant: str) -> None:
            self._server.plans[plan.nonce] = plan, tenant
            self._server.asked[plan.nonce] = anyio.Event()
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                seen = await runner.observe(self._request(tenant, plan))
                self.outcome.note_wrong(f"with every slot free, {_ending(seen)}: {seen.error}")
                ended.append(plan.nonce)

        scopes: list[anyio.CancelScope] = []
        ended: list[str] = []
        async with anyio.create_task_group() as tasks:
            for number in range(self._in_flight):
                nonce = f"{number:0{guest.NONCE_CHARACTERS}x}"
                tenant = list(TENANTS)[number % len(TENANTS)]
                plan = Plan(nonce, guest.OK, lambda *_: None, {}, silent=True)
                tasks.start_soon(wait, plan, tenant)
            while self._server.waiting + len(ended) < self._in_flight:
                await anyio.lowlevel.checkpoint()
            for scope in scopes:
                scope.cancel()
        return self._in_flight - self._server.waiting


def _ending(seen: Observation | None) -> str:
    if seen is None:
        return "cancelled"
    return "ok" if seen.error is None else seen.error.code


@contextmanager
def _counted_moves(outcome: Outcome) -> Iterator[None]:
    """While this lasts, ``outcome.moved`` counts how often guests changed threads."""
    poll, close = Guest.poll, Guest.close
    in_cpu_thread: set[int] = set()

    def counted_poll(seen: Guest, *, release_gil: bool = False) -> bool:
        if release_gil != (id(seen) in in_cpu_thread):
            outcome.moved += 1
            (in_cpu_thread.add if release_gil else in_cpu_thread.remove)(id(seen))
        return poll(seen, release_gil=release_gil)

    def noted_close(seen: Guest) -> None:
        close(seen)
        in_cpu_thread.discard(id(seen))

    Guest.poll, Guest.close = counted_poll, noted_close  # type: ignore[method-assign]
    try:
        yield
    finally:
        Guest.poll, Guest.close = poll, close  # type: ignore[method-assign]
