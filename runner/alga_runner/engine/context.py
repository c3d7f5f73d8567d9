"""The state that a process has once for all its engines, and what becomes of it at a fork and at exit."""

from __future__ import annotations

import atexit
import os
import threading

from ..errors import EngineForked
from .compile.client import CompilerClient
from .cpu_thread import CpuThread
from .engine import Engine, EngineConfig
from .loop_scheduler import ThreadScheduler
from .running import running


class EngineContext:
    """The engines of this process, its CPU thread, its compiler process, and what each thread has of its own.

    There is one, ``engine_context``. A test that needs a part of its own makes that part (``CpuThread()``,
    ``LoopScheduler()``, ``Ticker()``) and stops it itself.

    **Fork.** None of it crosses a fork: the native timers, wasmtime's compiler threads, the CPU thread and the compiler
    process stay with the parent. A child may close the guests it has copies of; making a guest or an engine raises
    ``EngineForked`` where the parent had an engine.

    **Exit.** Before the interpreter ends, the compiler process is closed, then the CPU thread ends: the interpreter
    would end it inside a guest, which crashes the process. The tickers go last, since a tick ends the slice that the
    CPU thread waits for. Engines are never freed.
    """

    def __init__(self) -> None:
        self.cpu_thread = CpuThread()
        self.compiler = CompilerClient()
        self.this_thread = ThreadScheduler()
        """The loop scheduler of the thread that asks."""
        self.running = running
        """The guest that the thread that asks is polling."""
        self._engines: dict[EngineConfig, Engine] = {}
        self._lock = threading.Lock()

    def engine(self, config: EngineConfig) -> Engine:
        """The engine for ``config``, made on first use. Raises ``EngineUnavailable`` or ``EngineForked``."""
        with self._lock:
            if any(engine.pid != os.getpid() for engine in self._engines.values()):
                raise EngineForked(
                    "An engine was made before this process was forked; its compiler's threads did not come along.",
                    hint="Start workers with the spawn method, or make the Runner in the worker.",
                )
            if config not in self._engines:
                self._engines[config] = Engine(config)
            return self._engines[config]

    @property
    def has_engines(self) -> bool:
        """Whether this process, or the one it was forked from, has an engine."""
        return bool(self._engines)

    def stop_idle_tickers(self) -> None:
        """Stop the timers of the engines that have no guest now, rather than soon."""
        for engine in list(self._engines.values()):
            engine.ticker.stop_if_idle()

    def after_fork_in_child(self) -> None:
        """Leave everything to the parent. Locks are made anew: a thread that stayed behind may hold them."""
        self._lock = threading.Lock()
        self.cpu_thread.after_fork_in_child()
        self.compiler.after_fork_in_child()
        for engine in self._engines.values():
            engine.ticker.after_fork_in_child()

    def at_exit(self) -> None:
        """End what runs, in the order that the class describes."""
        self.compiler.close()
        self.cpu_thread.stop()
        for engine in self._engines.values():
            if engine.ticker.live == 0:  # otherwise some thread may still be running a guest
                engine.ticker.close()


engine_context = EngineContext()
os.register_at_fork(after_in_child=engine_context.after_fork_in_child)
atexit.register(engine_context.at_exit)
