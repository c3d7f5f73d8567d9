"""The compiler's process: forks a job for each order, and ends the jobs whose callers have left.

It is the runner's child, spawned with an empty environment, and never reads a module itself: it has no threads, so
that forking is safe, and nothing of one module is left for the next. It ends when the runner does, or after a minute
without work; its jobs end with it. It ignores the signals that end a runner.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

import wasmtime
from wasmtime import _ffi

from .code_config import code_config, component_code_config
from .job import Engines, carry_out
from .protocol import FILES, NICENESS, ORDER_BYTES, READY, REPORT, Order

IDLE_MS = 60_000
"""How long the process waits for more work."""

PROMPT_S = 0.25
"""A job that has used so much CPU time goes on at a lower priority: it is not short."""

_LOOK_MS = 50
"""How often that is looked at."""

_SCHEDULED = 2
"""With a process id, the number of its clock, as clock_getcpuclockid(3) makes it: by the scheduler."""

MAX_DESCRIPTORS = 1_024
"""Of the process: two for each job under way."""


@dataclass
class _Job:
    pid: int
    order: socket.socket
    """Its other end closes when the caller leaves."""
    life: int
    """Reading end of a pipe that only the job holds open."""
    prompt: bool
    """Whether it runs at the runner's own priority."""


class CompilerProcess:
    """Serves one runner over ``control``, a connected socket that keeps messages apart."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        # Both before any job, which may open no file of a library.
        self._engines = Engines(_engine(code_config()), _engine(component_code_config()))
        self._jobs: dict[int, _Job] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Return when the runner has ended, or after ``IDLE_MS`` without work."""
        try:
            self._control.send(READY)
            while (events := self._poll.poll(self._wait_ms())) or self._jobs:
                # New orders last: they may reuse the number of a descriptor that an earlier event closes.
                for descriptor, _ in sorted(events, key=self._is_control):
                    if self._is_control((descriptor, 0)):
                        if not self._accept():
                            return
                    elif (job := self._jobs.get(descriptor)) is not None:
                        if descriptor == job.life:
                            self._end(job)
                        else:
                            self._poll.unregister(descriptor)
                            _kill(job)
                self._lower_long_jobs()
        finally:
            for job in {job.pid: job for job in self._jobs.values()}.values():
                _kill(job)
                os.waitpid(job.pid, 0)

    def _wait_ms(self) -> int | None:
        """How long to wait for events at most, ``None`` for ever."""
        if not self._jobs:
            return IDLE_MS
        return _LOOK_MS if any(job.prompt for job in self._jobs.values()) else None

    def _lower_long_jobs(self) -> None:
        for job in self._jobs.values():
            with suppress(OSError):  # it has ended
                if job.prompt and time.clock_gettime((~job.pid << 3) | _SCHEDULED) > PROMPT_S:
                    job.prompt = False
                    os.setpriority(os.PRIO_PROCESS, job.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)

    def _is_control(self, event: tuple[int, int]) -> bool:
        return event[0] == self._control.fileno()

    def _accept(self) -> bool:
        """Start the job of the next order. ``False`` where the runner has ended."""
        message, files, _, _ = socket.recv_fds(self._control, ORDER_BYTES, FILES)
        if len(message) < ORDER_BYTES or len(files) < FILES:
            return False
        *standard, order = files
        life, held = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            for target, source in enumerate(standard):
                os.dup2(source, target)
            os.dup2(held, 3)
            os.closerange(4, MAX_DESCRIPTORS)
            carry_out(self._engines, Order.unpacked(message), parent)
        for descriptor in (*standard, held):
            os.close(descriptor)
        prompt = Order.unpacked(message).niceness == 0
        job = _Job(pid, socket.socket(fileno=order), life, prompt)
        self._jobs[order] = self._jobs[life] = job
        self._poll.register(order, 0)
        self._poll.register(life, 0)
        return True

    def _end(self, job: _Job) -> None:
        """Report how ``job`` ended, which closed its pipe."""
        _, status = os.waitpid(job.pid, 0)
        with suppress(OSError):  # the caller has left
            job.order.send(REPORT.pack(status), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        for descriptor in (job.order.fileno(), job.life):
            del self._jobs[descriptor]
            with suppress(KeyError):  # the caller had left before
                self._poll.unregister(descriptor)
        os.close(job.life)
        job.order.close()


def _engine(configuration: wasmtime.Config) -> wasmtime.Engine:
    # One thread a job: how many cores compiling may take is decided by how many jobs there are.
    _ffi.wasmtime_config_parallel_compilation_set(configuration.ptr(), False)
    return wasmtime.Engine(configuration)


def _kill(job: _Job) -> None:
    os.kill(job.pid, signal.SIGKILL)  # not waited for yet, so the number is its own


def main(descriptor: int) -> None:
    """Serve the runner at the other end of ``descriptor``."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    bound = MAX_DESCRIPTORS if highest == resource.RLIM_INFINITY else min(MAX_DESCRIPTORS, highest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (bound, bound))
    with socket.socket(fileno=descriptor) as control:
        CompilerProcess(control).serve()
