"""Compiles untrusted modules and reads their debug information: in confined jobs, within bounds on time and memory."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread

from ...debuginfo import MAX_TABLE_BYTES, LineTable
from ...errors import CompileCrash, CompileMemory, CompileTimeout
from ..context import engine_context
from ..module import refused
from .client import SentOrder
from .compile_queue import CompileQueue
from .protocol import COMPONENT_VERSION, NICENESS, NO_MEMORY, REFUSED, REPORT, Order, Task

T = TypeVar("T")

_ATTEMPTS = 2
"""A job whose process ended, as an idle one may, is tried again once."""

_MIB = 1024 * 1024

QUICK_BYTES = 1 * _MIB
"""Larger modules may take longer than ``QUICK_CPU_S``, and queue with those that do."""

QUICK_CPU_S = 2.0
QUICK_WALL_S = 10.0
"""Bounds of the first try of a module that is not large. One that needs more queues with the slow ones."""

PROMPT_S = 2.0
"""An owner's jobs begin at the runner's own priority until they have used so much of late."""

_MAX_MESSAGE_BYTES = 4_096
_MAX_QUOTED_CHARACTERS = 300
_REMEDIES = {
    "module": "Split its largest functions",
    "component": "Build it smaller, as JavaScript with QuickJS",
}
"""What an author can do about one that takes too much to compile."""

_OUT_OF_MEMORY = "memory allocation of"
"""Rust's message before it aborts for want of memory."""


@dataclass(frozen=True, slots=True)
class CompileBounds:
    """Bounds of one job: CPU and wall time in seconds, memory in bytes; and how many jobs run concurrently."""

    cpu_s: float = 60.0
    wall_s: float = 180.0
    memory_bytes: int = 1024 * 1024 * 1024
    concurrent: int = 3

    def quick(self) -> CompileBounds:
        """The bounds of a short first try; these, if they allow no more."""
        if self.cpu_s <= QUICK_CPU_S:
            return self
        return replace(self, cpu_s=QUICK_CPU_S, wall_s=min(self.wall_s, QUICK_WALL_S))


READ_BOUNDS = CompileBounds(cpu_s=10.0, wall_s=30.0, memory_bytes=256 * _MIB, concurrent=2)
"""For reading debug information: the largest that is read whole takes a second or two."""


class CompiledCode:
    """The compiler's output, in a file in memory. Close it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.descriptor)


class Compiler:
    """Runs jobs within ``bounds``, for every engine of this process. ``clock`` measures what owners use."""

    def __init__(self, bounds: CompileBounds, clock: Callable[[], float] = monotonic) -> None:
        self._bounds = bounds
        self._queue = CompileQueue(bounds.concurrent, clock)

    async def compile(self, wasm: bytes, owner: str) -> CompiledCode:
        """The code of ``wasm``, compiled when it is the turn of ``owner``. Cancelled, it ends the compilation.

        Raises ``ModuleUnsupported``, a ``CompilationError``, ``Overloaded`` where too many modules wait, or
        ``EngineUnavailable`` where no process can be started.
        """
        if len(wasm) <= QUICK_BYTES:
            bounds = self._bounds.quick()
            try:
                async with self._queue.place(owner, slow=False):
                    return await self._run(Task.COMPILE, (wasm,), bounds, _Job.code, owner)
            except CompileTimeout:
                if bounds == self._bounds:
                    raise
        async with self._queue.place(owner, slow=True):
            return await self._run(Task.COMPILE, (wasm,), self._bounds, _Job.code, owner)

    async def read_lines(self, wasm: bytes, source_map: bytes, owner: str) -> LineTable:
        """The lines of ``wasm``, from its own debug information or ``source_map``. Cancelled, it ends the job.

        Raises a ``CompilationError``, ``Overloaded``, ``ValueError`` for a result that is no table, or
        ``EngineUnavailable``.
        """
        async with self._queue.place(owner, slow=False):
            return await self._run(Task.READ_LINES, (wasm, source_map), self._bounds, _Job.lines, owner)

    async def _run(
        self,
        task: Task,
        inputs: Sequence[bytes],
        bounds: CompileBounds,
        result: Callable[[_Job, int], T],
        owner: str,
    ) -> T:
        niceness = 0 if self._queue.used_s(owner) < PROMPT_S else NICENESS
        for _ in range(_ATTEMPTS):
            job = _Job(bounds, _kind(inputs[0]))
            try:
                await anyio.to_thread.run_sync(job.start, task, inputs, niceness)
                status = await job.status()
                if status is not None:
                    return await anyio.to_thread.run_sync(result, job, status)
                await anyio.to_thread.run_sync(job.replace_process)
            finally:
                job.close()
        raise CompileCrash(
            f"The compiler's process ended while it compiled the {_kind(inputs[0])}."
            + _quoted(engine_context.compiler.last_message()),
            hint="See whether the system ended it: for want of memory, or by a rule that allows no such process.",
        )


class _Job:
    """One job of the compiler's process, for a ``kind`` of ``_REMEDIES``. Close it."""

    def __init__(self, bounds: CompileBounds, kind: str) -> None:
        self._bounds = bounds
        self._kind = kind
        self._busy = threading.Lock()
        self._files: list[int] = []
        self._sent: SentOrder | None = None

    def start(self, task: Task, inputs: Sequence[bytes], niceness: int) -> None:
        """Send the order, whose input is ``inputs`` in a row, the module first. Raises ``EngineUnavailable``."""
        with self._busy:
            for role in ("input", "output", "messages"):
                self._files.append(os.memfd_create(f"alga-runner-{role}"))
            for data in inputs:
                left = memoryview(data)
                while left:
                    left = left[os.write(self._files[0], left) :]
            os.lseek(self._files[0], 0, os.SEEK_SET)
            cpu_us = round(self._bounds.cpu_s * 1e6)
            order = Order(task, len(inputs[0]), cpu_us, self._bounds.memory_bytes, niceness)
            self._sent = engine_context.compiler.send(order, *self._files)

    async def status(self) -> int | None:
        """The job's wait status when it has ended; ``None`` when the process has. Raises ``CompileTimeout``."""
        assert self._sent is not None  # noqa: S101 - not closed yet
        with anyio.move_on_after(self._bounds.wall_s):
            await anyio.wait_readable(self._sent.socket)
            try:
                data = self._sent.socket.recv(REPORT.size)
            except ConnectionResetError:
                return None
            return int(REPORT.unpack(data)[0]) if data else None
        raise CompileTimeout(
            f"The {self._kind} was not compiled within {self._bounds.wall_s:g} s.",
            hint="See whether the machine is overloaded, or raise max_compile_ms.",
        )

    def replace_process(self) -> None:
        """Have another process started for later orders, after one that ended."""
        if self._sent is not None:
            engine_context.compiler.replace(self._sent.process)

    def code(self, status: int) -> CompiledCode:
        """The output of a compilation that ended. Raises ``ModuleUnsupported`` or a ``CompilationError``."""
        self._require_success(status)
        return CompiledCode(os.dup(self._files[1]))

    def lines(self, status: int) -> LineTable:
        """The output of a reading that ended. Raises a ``CompilationError`` or ``ValueError``."""
        self._require_success(status)
        return LineTable(os.pread(self._files[1], MAX_TABLE_BYTES + 1, 0))

    def _require_success(self, status: int) -> None:
        if status == 0:
            return
        message = os.pread(self._files[2], _MAX_MESSAGE_BYTES, 0).decode(errors="replace")
        code = os.waitstatus_to_exitcode(status)
        if code == REFUSED:
            raise refused(message)
        if code == -signal.SIGALRM:
            raise CompileTimeout(
                f"Compiling the {self._kind} takes more than {self._bounds.cpu_s:g} s of CPU time.",
                hint=f"{_REMEDIES[self._kind]}, or raise max_compile_cpu_ms.",
            )
        if code == NO_MEMORY or _OUT_OF_MEMORY in message:
            raise CompileMemory(
                f"Compiling the {self._kind} takes more than {self._bounds.memory_bytes / _MIB:g} MiB of memory.",
                hint=f"{_REMEDIES[self._kind]}, or raise max_compile_memory_mb.",
            )
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        raise CompileCrash(
            f"The compiler {how} while it compiled the {self._kind}." + _quoted(message),
            hint=f"Build the {self._kind} with other optimisations; if that helps, report both to wasmtime.",
        )

    def close(self) -> None:
        """End the job, if it is under way, and close its files. Waits for another thread that still starts it."""
        with self._busy:
            if self._sent is not None:
                self._sent.socket.close()
            files, self._files = self._files, []
        for file in files:
            os.close(file)


def _kind(wasm: bytes) -> str:
    return "component" if wasm[4:8] == COMPONENT_VERSION else "module"


def _quoted(message: str) -> str:
    message = " ".join(message.split())
    return f" Its last message: {message[-_MAX_QUOTED_CHARACTERS:]}" if message else ""
