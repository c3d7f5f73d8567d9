"""Executions for many tenants, of many modules, next to many suspended guests, or with bodies of a size."""

from __future__ import annotations

import base64
import os
import resource
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import anyio
from wasmtime import wat2wasm

from alga_runner import ExecuteRequest, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.models import CreateScheduleInput

from ..child import Counts, Work, WrongAnswer
from .memory import MANY_GUESTS_MB, resident_kb
from .started import Started
from .workload import GUESTS, MANIFEST, SCHEDULE_ID, alga_guest
from .workload import Work as Task

BODY_BYTES = 1024
PATIENCE_MS = 600_000
TENANTS_OF_MODULES = 8
"""A tenant may have a quarter of all that is loaded."""


_TAKES_ANY_BODY = r"""
(module
  (import "alga:abi" "request" (func $request (param i32 i32) (result i32)))
  (import "alga:abi" "respond" (func $respond (param i32 i32)))
  (memory (export "memory") 200)
  (func (export "alga_abi_v1"))
  (data (i32.const 0) "\81\a6status\cc\c8")
  (func (export "alga_handle") (param i32)
    (drop (call $request (i32.const 16) (local.get 0)))
    (call $respond (i32.const 0) (i32.const 10))))
"""


class HoldingServer(NoAlgaServer):
    """Answers once it is ``released``."""

    def __init__(self, expected: int) -> None:
        self.released = anyio.Event()
        self.all_wait = anyio.Event()
        self._awaited = expected

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Wait."""
        self._awaited -= 1
        if not self._awaited:
            self.all_wait.set()
        await self.released.wait()
        return SCHEDULE_ID


class Many(Started):
    """Takes ``tenants``, ``modules``, guests ``suspended`` and ``body_bytes`` of its first order, in turns of all."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs: list[tuple[ExecuteRequest, str | None]] = []
        self._next = 0

    async def __aenter__(self) -> Self:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # as ``serve`` does
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pairs:
            self._server.released.set()
        await super().__aexit__(exc_type, exc, traceback)

    async def _begin(self, order: Mapping[str, Any]) -> None:
        suspended, self._server = order.get("suspended", 0), HoldingServer(order.get("suspended", 0))
        bundles = MemoryBundles()
        settings = Settings(
            max_guests=max(1_000, suspended + 200),
            max_timeout_ms=PATIENCE_MS,
            default_timeout_ms=PATIENCE_MS,
            max_process_memory_mb=MANY_GUESTS_MB,
        )
        self._runner = await self.start(self._server, bundles, settings)
        self._pairs = _pairs(order, bundles)
        before_kb = resident_kb()
        for request, answer in self._pairs:
            await self._execute(request, answer)
        if suspended:
            tasks = await self.stack.enter_async_context(anyio.create_task_group())
            content_hash = bundles.add(alga_guest())
            for number in range(suspended):
                document = _document(
                    Task("/create/1", content_hash, bytes(BODY_BYTES)), f"other-{number % 100}"
                )
                tasks.start_soon(self._runner.execute, ExecuteRequest.model_validate(document))
            await self._server.all_wait.wait()
        self._kb = resident_kb() - before_kb

    async def _execute(self, request: ExecuteRequest, answer: str | None) -> None:
        response = await self._runner.execute(request)
        if response.body_b64 != answer or response.status != 200:
            raise WrongAnswer(response.status)

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """The next of all, in turns."""
        if not self._pairs:
            await self._begin(order)
        count = order["count"]

        async def run() -> Counts:
            pairs = self._pairs
            for number in range(self._next, self._next + count):
                await self._execute(*pairs[number % len(pairs)])
            self._next += count
            return {"done": count, "checked": count, "kb": self._kb}

        return run


def _pairs(order: Mapping[str, Any], bundles: MemoryBundles) -> list[tuple[ExecuteRequest, str | None]]:
    if "body_bytes" in order:
        content_hash = bundles.add(_of(bytes(wat2wasm(_TAKES_ANY_BODY))))
        document = _document(Task("/", content_hash, os.urandom(order["body_bytes"])), "acme")
        return [(ExecuteRequest.model_validate(document), None)]
    tenants, modules = order.get("tenants", 1), order.get("modules", 1)
    body = bytes(range(256)) * (BODY_BYTES // 256)
    answer = base64.b64encode(b"%08x%08x" % (zlib.adler32(body), zlib.adler32(b"")) + body[16:]).decode()
    hashes = [bundles.add(_bundle(number)) for number in range(modules)]
    pairs: list[tuple[ExecuteRequest, str | None]] = []
    for number in range(max(tenants, modules)):
        tenant = f"tenant-{number % (tenants if modules == 1 else TENANTS_OF_MODULES)}"
        document = _document(Task("/echo", hashes[number % modules], body), tenant)
        pairs.append((ExecuteRequest.model_validate(document), answer))
    return pairs


def _document(task: Task, tenant: str) -> dict[str, Any]:
    return task.document | {"context": task.document["context"] | {"tenant_id": tenant}}


def _bundle(number: int) -> Bundle:
    """The guest with a custom section, which makes it another module."""
    wasm = (GUESTS / "alga.wasm").read_bytes() + b"\0\x09\x04copy" + number.to_bytes(4, "little")
    return _of(wasm)


def _of(wasm: bytes) -> Bundle:
    return Bundle.from_files({"manifest.json": MANIFEST, "dist/main.wasm": wasm})
