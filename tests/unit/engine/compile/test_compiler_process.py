"""The compiler's process and its jobs: what they have of the runner, and that they end with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from alga_runner.engine import CompileBounds, Engine, Module
from alga_runner.engine.compile.client import SentOrder
from alga_runner.engine.compile.compiler import PROMPT_S, Compiler
from alga_runner.engine.compile.protocol import NICENESS
from alga_runner.engine.context import engine_context
from alga_runner.errors import CompileCrash
from tests.support.clock import FakeMonotonic

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("jobs")]

EMPTY = b"\0asm\1\0\0\0"
MIB = 1024 * 1024

Jobs = Callable[[], list[int]]
Slow = Callable[[int], bytes]


async def compiled(engine: Engine, wasm: bytes) -> Module:
    with await Compiler(CompileBounds()).compile(wasm, "acme") as code:
        return Module.from_code(engine, code.descriptor)


def process() -> int:
    assert engine_context.compiler._process is not None
    return engine_context.compiler._process.pid


def limits(pid: int) -> dict[str, str]:
    """The soft limits of a process."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[0] for line in lines}


def files(pid: int) -> set[str]:
    """What a process has open, without numbers."""
    named = (str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir())
    return {name.partition(" ")[0].partition("[")[0] for name in named}


async def test_neither_process_nor_job_inherits_a_secret(
    monkeypatch: pytest.MonkeyPatch, slow_module: Slow, jobs: Jobs, until
) -> None:
    engine_context.compiler.close()
    monkeypatch.setenv("RUNNER_SERVICE_TOKEN", "secret")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Compiler(CompileBounds()).compile, slow_module(2_000), "acme")
        await until(jobs)
        environments = [(Path("/proc") / str(pid) / "environ") for pid in (process(), jobs()[0])]
        contents = [environment.read_bytes() for environment in environments]
        tasks.cancel_scope.cancel()

    assert contents == [b"", b""]


async def test_a_job_has_its_own_files_open_and_nothing_else(slow_module: Slow, jobs: Jobs, until) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Compiler(CompileBounds()).compile, slow_module(2_000), "acme")
        await until(lambda: jobs() and limits(jobs()[0])["Max processes"] == "0")
        opened = files(jobs()[0])
        tasks.cancel_scope.cancel()

    assert opened - {"anon_inode:"} == {
        "/memfd:alga-runner-input",
        "/memfd:alga-runner-output",
        "/memfd:alga-runner-messages",
        "pipe:",
    }


def niceness_of(pid: int) -> int:
    """Added to this process's own."""
    return os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0)


async def test_a_job_is_bounded_by_the_kernel(slow_module: Slow, jobs: Jobs, until) -> None:
    bounds = CompileBounds(cpu_s=1, memory_bytes=100 * MIB)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Compiler(bounds).compile, slow_module(2_000), "acme")
        await until(lambda: jobs() and limits(jobs()[0])["Max processes"] == "0")
        job_limits = limits(jobs()[0])
        tasks.cancel_scope.cancel()

    assert (job_limits["Max cpu time"], job_limits["Max file size"]) == ("3", str(100 * MIB))
    assert job_limits["Max core file size"] == "0"
    assert 100 * MIB < int(job_limits["Max address space"]) < 400 * MIB


async def test_modules_of_an_owner_that_used_much_of_late_are_compiled_at_a_lower_priority(
    slow_module: Slow, jobs: Jobs, until
) -> None:
    clock = FakeMonotonic(1.0)
    compiler, niceness = Compiler(CompileBounds(), clock), []
    for owner in ("acme", "acme", "globex"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(compiler.compile, slow_module(2_000), owner)
            await until(lambda: jobs() and limits(jobs()[0])["Max processes"] == "0")
            niceness.append(niceness_of(jobs()[0]))
            clock.now += PROMPT_S
            tasks.cancel_scope.cancel()
        await until(lambda: not jobs())

    assert niceness == [0, NICENESS, 0]


async def test_a_job_that_is_not_short_goes_on_at_a_lower_priority(
    slow_module: Slow, jobs: Jobs, until
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Compiler(CompileBounds()).compile, slow_module(2_000), "acme")
        await until(lambda: jobs() and niceness_of(jobs()[0]) == 0)
        await until(lambda: niceness_of(jobs()[0]) == NICENESS)
        tasks.cancel_scope.cancel()


SHUT_IN = """
import os, socket, sys
from alga_runner.engine.compile.landlock import restrict_self
inside, outside = os.pipe()
print(restrict_self(), flush=True)
os.write(outside, b"open before")
print(os.read(inside, 11))
for attempt in (
    lambda: open("/etc/passwd"),
    lambda: os.listdir("/"),
    lambda: open("/tmp/alga-runner-shut-in", "w"),
    lambda: os.kill(os.getppid(), 0),
    lambda: open(f"/proc/{os.getppid()}/environ"),
):
    try:
        print(attempt())
    except PermissionError:
        print("refused")
"""


def test_a_confined_process_reaches_only_its_open_files() -> None:
    shown = subprocess.run([sys.executable, "-c", SHUT_IN], capture_output=True, text=True, check=True)

    first, *others = shown.stdout.splitlines()
    if first == "False":
        pytest.skip("this kernel has no Landlock")
    assert others == ["b'open before'", *["refused"] * 5]


async def test_the_process_is_replaced_when_it_ends_under_a_job(engine: Engine) -> None:
    await compiled(engine, EMPTY)
    before = process()
    os.kill(before, signal.SIGSTOP)
    modules: list[Module] = []

    async def compile_() -> None:
        modules.append(await compiled(engine, EMPTY))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(compile_)
        await anyio.wait_all_tasks_blocked()
        os.kill(before, signal.SIGKILL)

    assert len(modules) == 1
    assert process() != before


async def test_a_process_that_reports_nothing_of_an_order_gets_no_other_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await compiled(engine, EMPTY)
    before, client, send = process(), engine_context.compiler, engine_context.compiler.send
    losses = [True]

    def send_and_lose(*order: Any) -> SentOrder:
        """The first order's socket closes, as if the process were about to end."""
        sent = send(*order)
        if not losses:
            return sent
        losses.clear()
        sent.socket.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()
        return sent._replace(socket=ours)

    monkeypatch.setattr(client, "send", send_and_lose)
    await compiled(engine, EMPTY)

    assert process() != before


async def test_a_module_under_which_the_process_ends_twice_is_refused(
    slow_module: Slow, jobs: Jobs, until
) -> None:
    async def kill() -> None:
        for _ in range(2):
            await until(jobs)
            under_way = jobs()
            os.kill(process(), signal.SIGKILL)
            await until(lambda under_way=under_way: jobs() != under_way)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        with pytest.raises(CompileCrash, match="process ended while it compiled"):
            await Compiler(CompileBounds()).compile(slow_module(2_000), "acme")


async def test_a_job_ends_with_its_process(slow_module: Slow, jobs: Jobs, until, alive) -> None:
    async def kill() -> None:
        await until(jobs)
        under_way = jobs()[0]
        os.kill(process(), signal.SIGKILL)
        await until(lambda: not alive(under_way))
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        with suppress(
            CompileCrash
        ):  # where it is tried again, and under way, before the first job's end is seen
            await Compiler(CompileBounds()).compile(slow_module(2_000), "acme")


async def test_signals_that_are_meant_for_the_runner_do_not_end_the_process() -> None:
    (await Compiler(CompileBounds()).compile(EMPTY, "acme")).__exit__(None, None, None)
    before = process()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(before, number)

    (await Compiler(CompileBounds()).compile(EMPTY, "acme")).__exit__(None, None, None)

    assert process() == before


async def test_the_process_starts_again_after_it_was_ended(engine: Engine, alive) -> None:
    await compiled(engine, EMPTY)
    before = process()

    engine_context.compiler.close()

    assert not alive(before)
    assert (await compiled(engine, EMPTY)).exports == ()


COMPILE = """
import os, sys, anyio, anyio.lowlevel
from contextlib import suppress
from pathlib import Path
from alga_runner.engine import CompileBounds
from alga_runner.engine.compile.compiler import PROMPT_S, Compiler
from alga_runner.engine.compile.protocol import NICENESS
from alga_runner.engine.context import engine_context
wasm = sys.stdin.buffer.read()
async def main():
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Compiler(CompileBounds()).compile, wasm, "acme")
        while (process := engine_context.compiler._process) is None:
            await anyio.lowlevel.checkpoint()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not (jobs := children.read_text().split()):
            await anyio.lowlevel.checkpoint()
        print(process.pid, *jobs, flush=True)
        ENDING
anyio.run(main)
"""


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param("tasks.cancel_scope.cancel()", id="it ends"),
        pytest.param("os._exit(1)", id="it exits"),
        pytest.param("os.kill(os.getpid(), 9)", id="it is killed"),
    ],
)
async def test_nothing_is_left_of_a_runner_that_ends(slow_module: Slow, ending: str, until, alive) -> None:
    with program(COMPILE.replace("ENDING", ending), slow_module(2_000)) as ended:
        said, complaints = ended.communicate()

    pids = [int(pid) for pid in said.split()]
    assert len(pids) == 2
    assert complaints == b""
    await until(lambda: not any(map(alive, pids)))


@contextmanager
def program(text: str, stdin: bytes) -> Iterator[subprocess.Popen[bytes]]:
    reader, writer = os.pipe()
    with (
        os.fdopen(writer, "wb") as pipe,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", text],
            stdin=reader,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as started,
    ):
        os.close(reader)
        pipe.write(stdin)
        pipe.close()
        yield started


CANNOT_START = """
import sys, anyio
sys.executable = "/bin/false"
from alga_runner.engine import CompileBounds
from alga_runner.engine.compile.compiler import PROMPT_S, Compiler
from alga_runner.engine.compile.protocol import NICENESS
async def main():
    for _ in range(2):
        try:
            await Compiler(CompileBounds()).compile(b"", "acme")
        except Exception as error:
            print(error.code, error)
anyio.run(main)
"""


def test_a_process_that_does_not_start_is_told() -> None:
    shown = subprocess.run([sys.executable, "-c", CANNOT_START], capture_output=True, text=True, check=True)

    assert shown.stdout == "engine_unavailable The compiler's process does not start.\n" * 2
