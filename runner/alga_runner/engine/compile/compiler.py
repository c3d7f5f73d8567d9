"""Compiles other people's modules: beside the event loop, at low priority, within bounds on time and memory."""

from __future__ import annotations

import os
import signal
import socket
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

from ...errors import CompileCrash, CompileMemory, CompileTimeout
from ..context import engine_context
from ..module import refused
from .protocol import NO_MEMORY, REFUSED, REPORT_BYTES, Order, Report

_ATTEMPTS = 2
"""A process that ended under a job, as an idle one may, is tried again once."""

_MIB = 1024 * 1024
_MAX_WORDS = 4_096
_MAX_QUOTED_CHARACTERS = 300
_OUT_OF_TIME = {signal.SIGPROF, signal.SIGXCPU}
_OUT_OF_MEMORY = "memory allocation of"
"""What Rust says before it aborts for want of memory."""


@dataclass(frozen=True, slots=True)
class CompileBounds:
    """What compiling one module may take: CPU and wall time in seconds, memory in bytes; and how many at once."""

    cpu_s: float = 60.0
    wall_s: float = 180.0
    memory_bytes: int = 1024 * 1024 * 1024
    at_once: int = 3


class CompiledCode:
    """What the compiler made, in a file in memory. Whoever has it closes it."""

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
    """Compiles modules within ``bounds``, for every engine of this process."""

    def __init__(self, bounds: CompileBounds) -> None:
        self._bounds = bounds
        self._slots = anyio.CapacityLimiter(bounds.at_once)

    async def compile(self, wasm: bytes) -> CompiledCode:
        """The code of ``wasm``. Cancelled, it ends the compilation.

        Raises ``ModuleUnsupported``, a ``CompilationError``, or ``EngineUnavailable`` where no process can be started.
        """
        async with self._slots:
            for _ in range(_ATTEMPTS):
                job = _Job(self._bounds)
                try:
                    await anyio.to_thread.run_sync(job.start, wasm)
                    report = await job.report()
                    if report is not None:
                        return await anyio.to_thread.run_sync(job.code, report)
                finally:
                    job.close()
        raise CompileCrash(
            "The compiler's process ended while it compiled the module."
            + _quoted(engine_context.compiler.last_words()),
            hint="See whether the system ended it: for want of memory, or by a rule that allows no such process.",
        )


class _Job:
    """One module on its way through the compiler's process. Close it."""

    def __init__(self, bounds: CompileBounds) -> None:
        self._bounds = bounds
        self._busy = threading.Lock()
        self._files: list[int] = []
        self._socket: socket.socket | None = None

    def start(self, wasm: bytes) -> None:
        """Send ``wasm`` on its way. Raises ``EngineUnavailable``."""
        with self._busy:
            for what in ("wasm", "code", "words"):
                self._files.append(os.memfd_create(f"alga-runner-{what}"))
            left = memoryview(wasm)
            while left:
                left = left[os.write(self._files[0], left) :]
            os.lseek(self._files[0], 0, os.SEEK_SET)
            order = Order(round(self._bounds.cpu_s * 1e6), self._bounds.memory_bytes)
            self._socket = engine_context.compiler.send(order, *self._files)

    async def report(self) -> Report | None:
        """How the job ended; ``None`` when the process did. Raises ``CompileTimeout``."""
        assert self._socket is not None  # noqa: S101 - not closed yet
        with anyio.move_on_after(self._bounds.wall_s):
            await anyio.wait_readable(self._socket)
            try:
                data = self._socket.recv(REPORT_BYTES)
            except ConnectionResetError:
                return None
            return Report.unpacked(data) if data else None
        raise CompileTimeout(
            f"The module was not compiled within {self._bounds.wall_s:g} s.",
            hint="See whether the machine is overloaded, or raise max_compile_ms.",
        )

    def code(self, report: Report) -> CompiledCode:
        """What a job that ended made. Raises ``ModuleUnsupported`` or a ``CompilationError``."""
        _, code_file, words_file = self._files
        if report.status == 0:
            return CompiledCode(os.dup(code_file))
        words = os.pread(words_file, _MAX_WORDS, 0).decode(errors="replace")
        code = os.waitstatus_to_exitcode(report.status)
        if code == REFUSED:
            raise refused(words)
        if -code in _OUT_OF_TIME:
            raise CompileTimeout(
                f"Compiling the module takes more than {self._bounds.cpu_s:g} s of CPU time.",
                hint="Split its largest functions, or raise max_compile_cpu_ms.",
            )
        if code == NO_MEMORY or _OUT_OF_MEMORY in words:
            raise CompileMemory(
                f"Compiling the module takes more than {self._bounds.memory_bytes / _MIB:g} MiB of memory.",
                hint="Split its largest functions, or raise max_compile_memory_mb.",
            )
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        raise CompileCrash(
            f"The compiler {how} while it compiled the module." + _quoted(words),
            hint="Build the module with other optimisations; if that helps, report both to wasmtime.",
        )

    def close(self) -> None:
        """Forget the job; one that is under way is ended. One that another thread still starts is waited for."""
        with self._busy:
            if self._socket is not None:
                self._socket.close()
            files, self._files = self._files, []
        for file in files:
            os.close(file)


def _quoted(words: str) -> str:
    words = " ".join(words.split())
    return f" It said: {words[-_MAX_QUOTED_CHARACTERS:]}" if words else ""
