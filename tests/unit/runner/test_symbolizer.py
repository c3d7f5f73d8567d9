"""A failed execution's stack names the source lines of the guest."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from alga_runner import ExecuteRequest, Observation, Runner, Settings
from alga_runner.alga import NoAlgaServer
from alga_runner.bundles import Bundle, BundleSource, MemoryBundles
from alga_runner.engine import ModuleLoader
from alga_runner.errors import BundleNotFound, GuestAbort, GuestTrap
from alga_runner.execution import symbolizer
from tests.support.patience import PATIENCE_S, PATIENT, computes, past_its_deadline, read_all_lines
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
MANIFEST = b'{"name": "com.example.crash", "version": "1.0.0", "runtime": "wasm-c@1"}'
C = {"dist/main.wasm": (ROOT / "tests/guests/crash-dwarf4.wasm").read_bytes()}
TYPESCRIPT = {
    "dist/main.wasm": (ROOT / "guest-abi/assemblyscript/tests/crash.wasm").read_bytes(),
    "dist/main.wasm.map": (ROOT / "guest-abi/assemblyscript/tests/crash.wasm.map").read_bytes(),
}
IN_TOTAL = ["total (divide.h:4:16)", "alga_handle (crash.c:50:13)"]

Crash = Callable[..., Awaitable[Observation]]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    read_all_lines(monkeypatch)


def request(content_hash: str, end: str, **limits: int) -> ExecuteRequest:
    body = base64.b64encode(b"do:" + end.encode()).decode()
    return execute_request(
        content_hash,
        context={"extension_id": "com.example.crash", "version_id": "v1", "request_id": "request-1"},
        http={"path": "/crash", "body_b64": body},
        providers=["cap:scheduler.manage"],
        limits=limits,
    )


def add(bundles: MemoryBundles, files: dict[str, bytes] = C) -> str:
    return bundles.add(Bundle.from_files({"manifest.json": MANIFEST} | files))


@pytest.fixture
def crash(runner: Runner, bundles: MemoryBundles) -> Crash:
    """Have a guest fail in the way that a letter selects (tests/guests/crash.c)."""

    async def run(end: str, files: dict[str, bytes] = C, **limits: int) -> Observation:
        return await runner.observe(request(add(bundles, files), end, **limits))

    return run


def stack(observation: Observation) -> list[str]:
    return [str(frame) for frame in observation.error.frames]


async def test_a_trap_names_files_and_lines(crash) -> None:
    observation = await crash("d")

    assert isinstance(observation.error, GuestTrap)
    assert observation.error.trap_code == "integer_division_by_zero"
    assert stack(observation) == IN_TOTAL


async def test_an_error_names_extension_version_handler_and_request(crash) -> None:
    observation = await crash("d")

    assert observation.error.where == {
        "extension": "com.example.crash",
        "version": "v1",
        "handler": "POST /crash",
        "request_id": "request-1",
    }


async def test_a_deadline_says_what_was_computed(crash, runner: Runner) -> None:
    observation = await past_its_deadline(runner, crash("s"), computes)

    assert observation.error.code == "deadline_exceeded"
    assert "It was computing in spin (crash.c:3" in str(observation.error)
    assert stack(observation)[1] == "alga_handle (crash.c:53:5)"


async def test_a_cpu_limit_says_what_was_computed(crash) -> None:
    observation = await crash("s", cpu_ms=5)

    assert observation.error.code == "cpu_limit"
    assert stack(observation)[0].startswith("spin (crash.c:3")


async def test_a_stack_limit_says_who_called_whom(crash) -> None:
    observation = await crash("r")

    assert observation.error.code == "stack_limit"
    assert stack(observation)[1:3] == ["dig (crash.c:37:26)"] * 2


async def test_a_broken_message_names_its_host_call_its_bytes_and_the_stack(crash) -> None:
    observation = await crash("b")

    assert observation.error.code == "broken_framing"
    assert observation.error.where["host_call"] == "scheduler.list"
    assert observation.error.where["message"].startswith("1 byte at offset ")
    assert stack(observation) == ["ask (crash.c:41:3)", "alga_handle (crash.c:64:5)"]


async def test_a_wild_pointer_names_its_host_call_and_the_stack(crash) -> None:
    observation = await crash("o")

    assert observation.error.code == "out_of_bounds"
    assert observation.error.where["host_call"] == "alga:abi respond"
    assert stack(observation) == ["alga_handle (crash.c:67:5)"]


@pytest.mark.parametrize("settings", [Settings(max_guests=8, max_memory_mb=4, max_host_calls=1, **PATIENT)])
async def test_a_limit_names_the_host_call_that_went_past_it(crash) -> None:
    observation = await crash("a")

    assert observation.error.code == "host_call_limit"
    assert observation.error.where["host_call"] == "alga:scheduler list"
    assert stack(observation) == ["ask (crash.c:41:3)", "alga_handle (crash.c:60:5)"]


async def test_assemblyscript_traps_with_files_and_lines(crash) -> None:
    observation = await crash("d", TYPESCRIPT)

    assert stack(observation) == [
        "tests/crash/share (tests/crash.ts:21:10)",
        "tests/crash/alga_handle (tests/crash.ts:32:26)",
    ]


async def test_an_abort_has_message_position_and_stack(crash) -> None:
    observation = await crash("t", TYPESCRIPT)

    error = observation.error
    assert isinstance(error, GuestAbort)
    assert str(error) == "The guest aborted at tests/crash.ts:25:3: nothing is left, not even ½."
    assert (error.file, error.line, error.column) == ("tests/crash.ts", 25, 3)
    assert stack(observation) == [
        "tests/crash/refuse (tests/crash.ts:25:3)",
        "tests/crash/alga_handle (tests/crash.ts:34:23)",
    ]


async def test_without_debug_information_functions_and_offsets_are_left(crash, guest_wat) -> None:
    stripped = C["dist/main.wasm"].replace(b".debug_line", b".debug_gone")

    observation = await crash("d", {"dist/main.wasm": stripped})

    assert [(frame.function, frame.file) for frame in observation.error.frames] == [
        ("total", None),
        ("alga_handle", None),
    ]
    assert all(frame.offset for frame in observation.error.frames)
    assert "debug information" in observation.error.hint


async def test_the_log_says_where_and_not_what_the_guest_said(crash, caplog, runner) -> None:
    await crash("d")
    await crash("t", TYPESCRIPT)
    runner.telemetry.flush()

    details = [record.detail for record in caplog.records if record.action == "execution"]

    assert details == [
        "trap integer_division_by_zero, in total (divide.h:4:16) < alga_handle (crash.c:50:13)",
        "in tests/crash/refuse (tests/crash.ts:25:3) < tests/crash/alga_handle (tests/crash.ts:34:23)",
    ]
    assert "nothing is left" not in caplog.text


class Store(MemoryBundles):
    """Counts fetches; from the second on, does ``then`` first."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches = 0

    async def then(self) -> None: ...

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        self.fetches += 1
        if self.fetches > 1:
            await self.then()
        return await super().fetch(tenant_id, extension_id, content_hash)


class Gone(Store):
    async def then(self) -> None:
        raise BundleNotFound("It was here a moment ago.")


class Slow(Store):
    def __init__(self) -> None:
        super().__init__()
        self.go_on = anyio.Event()

    async def then(self) -> None:
        await self.go_on.wait()


async def _observed(settings: Settings, store: BundleSource, *ends: str) -> list[Observation]:
    observations = []
    async with Runner(settings, bundles=store) as runner:
        for end in ends:
            observations.append(await runner.observe(request(add(store), end)))
    return observations


async def test_debug_information_is_read_once(settings) -> None:
    store = Store()

    observations = await _observed(settings, store, "d", "d", "o")

    assert [bool(observation.error.frames[0].file) for observation in observations] == [True] * 3
    assert store.fetches == 2


async def test_concurrent_failures_share_one_reading(settings) -> None:
    store = Store()
    stacks: list[list[str]] = []

    async def one(runner: Runner, content_hash: str) -> None:
        stacks.append(stack(await runner.observe(request(content_hash, "d"))))

    async with Runner(settings, bundles=store) as runner, anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(one, runner, add(store))

    assert stacks == [IN_TOTAL] * 8
    assert store.fetches == 2


async def test_a_bundle_that_is_gone_leaves_the_stack_as_it_is(settings) -> None:
    (observation,) = await _observed(settings, Gone(), "d")

    assert observation.error.code == "guest_trap"
    assert [frame.function for frame in observation.error.frames] == ["total", "alga_handle"]
    assert observation.error.frames[0].file is None


async def test_a_slow_store_is_not_waited_for(settings, monkeypatch) -> None:
    monkeypatch.setattr(symbolizer, "PATIENCE_S", 0)
    store = Slow()

    async with Runner(settings, bundles=store) as runner:
        first = await runner.observe(request(add(store), "d"))
        store.go_on.set()
        monkeypatch.setattr(symbolizer, "PATIENCE_S", PATIENCE_S)
        second = await runner.observe(request(add(store), "d"))

    assert first.error.frames[0].file is None
    assert stack(second) == IN_TOTAL


async def test_a_fault_of_the_reader_is_logged_and_no_more(crash, monkeypatch, caplog) -> None:
    async def read_lines(*_: object) -> None:
        raise RuntimeError("private words")

    monkeypatch.setattr(ModuleLoader, "read_lines", read_lines)

    observation = await crash("d")

    assert observation.error.code == "guest_trap"
    assert "Debug information not read: RuntimeError" in caplog.text
    assert "private" not in caplog.text


class Silent(NoAlgaServer):
    """Answers nothing, ever."""

    asked = False

    async def _silence(self, *_: object, **__: object) -> object:
        self.asked = True
        await anyio.sleep_forever()

    list_schedules = get_schedule = create_schedule = update_schedule = delete_schedule = get_endpoints = (
        _silence
    )


async def test_a_deadline_says_which_host_call_was_waited_for_and_where(settings, bundles) -> None:
    silent = Silent()
    async with Runner(settings, bundles=bundles, alga=silent) as runner:
        observation = await past_its_deadline(
            runner, runner.observe(request(add(bundles), "a")), lambda _: silent.asked
        )

    assert observation.error.code == "deadline_exceeded"
    assert observation.error.where["host_call"] == "scheduler.list"
    assert "It was waiting for its host call in ask (crash.c:41:3)." in str(observation.error)
