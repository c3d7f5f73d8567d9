"""The compiler's process: forks a job for each module it is sent, and ends the jobs that nobody waits for.

It is the runner's child, spawned with an empty environment, and never compiles anything itself: it has no threads, so
that forking is safe, and nothing of one module is left for the next. It ends when the runner does, or after a minute
without work; whatever it was doing then ends with it. Signals are the runner's business.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass

import wasmtime
from wasmtime import _ffi

from .code_config import code_config
from .job import carry_out
from .protocol import FILES, ORDER_BYTES, READY, Order, Report

IDLE_MS = 60_000
"""How long the process waits for more work."""

MAX_DESCRIPTORS = 1_024
"""Of the process: two for each job under way."""


@dataclass
class _Job:
    pid: int
    order: socket.socket
    """Its other end closes when nobody waits any more."""
    life: int
    """Reading end of a pipe that the job alone holds open."""


class CompilerProcess:
    """Serves one runner over ``control``, a connected socket that keeps messages apart."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        configuration = code_config()
        # One thread a job: how many cores compiling may take is decided by how many jobs there are.
        _ffi.wasmtime_config_parallel_compilation_set(configuration.ptr(), False)
        self._engine = wasmtime.Engine(configuration)
        self._jobs: dict[int, _Job] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Return when the runner is gone, or when there was nothing to do for ``IDLE_MS``."""
        try:
            self._control.send(READY)
            while events := self._poll.poll(None if self._jobs else IDLE_MS):
                # New orders last: they take descriptors, and an event of one that was closed is not theirs.
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
        finally:
            for job in {job.pid: job for job in self._jobs.values()}.values():
                _kill(job)
                os.waitpid(job.pid, 0)

    def _is_control(self, event: tuple[int, int]) -> bool:
        return event[0] == self._control.fileno()

    def _accept(self) -> bool:
        """Start the job of the next order; whether there was one."""
        message, files, _, _ = socket.recv_fds(self._control, ORDER_BYTES, FILES)
        if len(message) < ORDER_BYTES or len(files) < FILES:
            return False
        wasm, code, words, order = files
        life, held = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            for target, source in enumerate((wasm, code, words)):
                os.dup2(source, target)
            os.dup2(held, 3)
            os.closerange(4, MAX_DESCRIPTORS)
            carry_out(self._engine, Order.unpacked(message), parent)
        for mine in (wasm, code, words, held):
            os.close(mine)
        job = _Job(pid, socket.socket(fileno=order), life)
        self._jobs[order] = self._jobs[life] = job
        self._poll.register(order, 0)
        self._poll.register(life, 0)
        return True

    def _end(self, job: _Job) -> None:
        """Report how ``job`` ended; its pipe closed because it is gone."""
        _, status, usage = os.wait4(job.pid, 0)
        report = Report(status, round((usage.ru_utime + usage.ru_stime) * 1e6), usage.ru_maxrss * 1024)
        with suppress(OSError):  # nobody waits
            job.order.send(report.packed(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        for descriptor in (job.order.fileno(), job.life):
            del self._jobs[descriptor]
            with suppress(KeyError):  # nobody waited, which was noticed before
                self._poll.unregister(descriptor)
        os.close(job.life)
        job.order.close()


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
