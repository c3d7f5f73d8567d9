"""The self-check in a process of its own: a wasmtime that crashes or hangs ends that process, not the runner's."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from ...errors import AlgaError, EngineUnavailable
from ..context import engine_context
from ..engine import Engine, EngineConfig
from ..native.library import choose
from . import selfcheck

PATIENCE_S = 10.0
"""How long the check may take, in seconds. It takes a hundredth of one."""

_CONFIG = EngineConfig(max_guests=1, max_memory_bytes=1024 * 1024)
"""One slot: a guest that does not give it back leaves none to the next."""

_SOUND = "sound"
_FAULT = "fault "
_HINT = "Install the versions of requirements/runtime.txt."


def check_in_subprocess() -> None:
    """Try wasmtime in a forked process. Raises ``EngineUnavailable`` if it crashes, hangs or misbehaves there.

    It tries the native helper with it, as the environment has it, and raises where that is required and cannot be used.

    For a program's main, before its event loop: it does nothing in a process that has threads or an engine already,
    which forking would break, nor where none can be forked. ``selfcheck.require_sound`` then tries what remains.
    """
    choose(_CONFIG.native)
    if not _may_fork():
        return
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:  # the system has no process to give
        os.close(reader)
        os.close(writer)
        return
    if child == 0:
        _try(writer)
    os.close(writer)
    lines, ended = [""], False
    try:
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            lines, ended = _listen(pipe.fileno())
    finally:
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    last = lines[-1]
    if last.startswith(_FAULT):
        raise EngineUnavailable(last.removeprefix(_FAULT), hint=_HINT)
    if last != _SOUND:
        how = _how_it_died(status) if ended else f"did not come back within {PATIENCE_S:g} s"
        raise EngineUnavailable(
            f"wasmtime {metadata.version('wasmtime')} cannot be used here: when asked {last}, it {how}.",
            hint=_HINT,
        )


def _may_fork() -> bool:
    tasks = Path("/proc/self/task")
    return not engine_context.has_engines and tasks.is_dir() and len(list(tasks.iterdir())) == 1


def _try(writer: int) -> NoReturn:
    """In the child: write the name of each step, then the result."""

    def write(line: str) -> None:
        os.write(writer, f"{line}\n".encode())

    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        write("to make an engine")
        selfcheck.check(Engine(_CONFIG), write)
        write(_SOUND)
        status = 0
    except AlgaError as error:
        write(_FAULT + " ".join(str(error).split()))
    finally:
        os._exit(status)


def _listen(reader: int) -> tuple[list[str], bool]:
    """The lines that the child wrote, and whether it has ended rather than run out of time."""
    output = b""
    until = time.monotonic() + PATIENCE_S
    while (left := until - time.monotonic()) > 0 and select.select([reader], [], [], left)[0]:
        piece = os.read(reader, 4096)
        if not piece:
            return _lines(output), True
        output += piece
    return _lines(output), False


def _lines(output: bytes) -> list[str]:
    return output.decode("utf-8", "replace").splitlines() or ["to start"]


def _how_it_died(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"crashed with {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended the process with status {os.WEXITSTATUS(status)}"
