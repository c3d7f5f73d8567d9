"""One job, in a confined process of its own: input on stdin, output on stdout, messages on stderr.

A job compiles a module or reads its debug information. wasmtime's time and memory grow with the square of some
functions: 9 KB of WebAssembly can take half a minute and 10 GB. Only the kernel can stop that.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

import wasmtime
import wasmtime.component as wasmtime_component
from wasmtime import _ffi

from .landlock import restrict_self
from .protocol import COMPONENT_VERSION, NO_MEMORY, REFUSED, Order, Task

MAX_IMPORTS = 1_000
MAX_EXPORTS = 10_000
"""What a guest may import and export: the runner describes each of them in a thread."""

MAX_MESSAGE_BYTES = 4_096
"""Of messages; the runner reads no more."""

_FAILED = 1
_CPU_SPARE_S = 2
"""Added to the bound in the coarser limit, RLIMIT_CPU, which nothing can block."""

_PR_SET_PDEATHSIG = 1


class Engines(NamedTuple):
    """The engines that a job compiles with."""

    modules: wasmtime.Engine
    components: wasmtime.Engine


def carry_out(engines: Engines, order: Order, parent: int) -> NoReturn:
    """Carry out ``order`` within its bounds, and exit. Called right after the fork."""
    status = _FAILED
    try:
        if order.task is Task.READ_LINES:
            # Imported by these jobs alone, so that compilations do without; once confined, a process opens no file.
            from ...debuginfo import read_lines  # noqa: PLC0415
        _confine(order, parent)
        with open(0, "rb", closefd=False) as stdin:
            module, rest = stdin.read(order.module_bytes), stdin.read()
        if order.task is Task.READ_LINES:
            _write(read_lines(module, rest))
            status = 0
        else:
            status = _compile(engines, module)
    except MemoryError:
        status = NO_MEMORY
    except OSError as error:
        # EFBIG: the output is larger than a file of this process may be.
        status = NO_MEMORY if error.errno in {errno.ENOMEM, errno.EFBIG} else _FAILED
        _say(str(error))
    except BaseException:  # noqa: BLE001 - the last message of a process
        _say(traceback.format_exc())
    finally:
        os._exit(status)


def _confine(order: Order, parent: int) -> None:
    """Have the kernel end this process when it exceeds its bounds or ``parent`` ends, and take its rights away."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(_FAILED)
    os.nice(order.niceness)
    with suppress(OSError):  # the process to end first when the machine runs out of memory
        Path("/proc/self/oom_score_adj").write_text("1000")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for limit, bound in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + order.memory_bytes),
        (resource.RLIMIT_FSIZE, order.memory_bytes),
        (resource.RLIMIT_CPU, -(-order.cpu_us // 1_000_000) + _CPU_SPARE_S),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, highest = resource.getrlimit(limit)
        highest = bound if highest == resource.RLIM_INFINITY else min(bound, highest)
        resource.setrlimit(limit, (highest, highest))
    _limit_cpu(order.cpu_us)
    restrict_self()


def _limit_cpu(cpu_us: int) -> None:
    """Have SIGALRM end this process when it has used ``cpu_us``.

    The timer reads the scheduler's clock. ITIMER_PROF and RLIMIT_CPU count the clock ticks that find the process
    running: on a busy machine, where others run at most ticks, it can use ten times its bound.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a parent may have had it ignored, or blocked
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "timer_create"):  # glibc before 2.34
        libc = ctypes.CDLL("librt.so.1", use_errno=True)
    timer = ctypes.c_void_p()
    seconds, rest_us = divmod(cpu_us, 1_000_000)
    once = (ctypes.c_long * 4)(0, 0, seconds, rest_us * 1000)
    if (
        libc.timer_create(time.CLOCK_PROCESS_CPUTIME_ID, None, ctypes.byref(timer)) != 0
        or libc.timer_settime(timer, 0, once, None) != 0
    ):
        raise OSError(ctypes.get_errno(), "The bound on CPU time cannot be set")


def _compile(engines: Engines, wasm: bytes) -> int:
    """Write the code of ``wasm``; the exit status."""
    try:
        if wasm[4:8] == COMPONENT_VERSION:
            _write(wasmtime_component.Component(engines.components, wasm).serialize())
            return 0
        module = wasmtime.Module(engines.modules, wasm)
        if excess := _excess(module):
            _say(excess)
            return REFUSED
        code = module.serialize()
    except wasmtime.WasmtimeError as error:
        reason = str(error)
        _say(reason)
        return NO_MEMORY if f"os error {errno.ENOMEM}" in reason else REFUSED
    _write(code)
    return 0


def _write(output: bytes | bytearray) -> None:
    left = memoryview(output)
    while left:
        left = left[os.write(1, left) :]


def _excess(module: wasmtime.Module) -> str:
    """Why ``module`` has too many imports or exports, if it has."""
    imports, exports = _ffi.wasm_importtype_vec_t(0, None), _ffi.wasm_exporttype_vec_t(0, None)
    _ffi.wasmtime_module_imports(module.ptr(), ctypes.byref(imports))
    _ffi.wasmtime_module_exports(module.ptr(), ctypes.byref(exports))
    if imports.size > MAX_IMPORTS:
        return f"it has {imports.size} imports; {MAX_IMPORTS} are allowed"
    if exports.size > MAX_EXPORTS:
        return f"it has {exports.size} exports; {MAX_EXPORTS} are allowed"
    return ""


def _say(message: str) -> None:
    os.write(2, message.encode(errors="replace")[:MAX_MESSAGE_BYTES])
