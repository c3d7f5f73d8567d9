"""Requests are executed once, for their tenant, and failures are reported with their context."""

from __future__ import annotations

import anyio
import pytest

from alga_runner import ExecuteRequest, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import Bundle, BundleSource, MemoryBundles
from alga_runner.errors import BundleNotFound, EngineUnavailable, GuestTrap, ModuleError, UnknownCapabilities
from alga_runner.models import ScheduleInfo
from tests.support.bundles import make_bundle
from tests.support.guests import LIST_IMPORT
from tests.support.patience import past_its_deadline
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio


def request_for(content_hash: str, **members) -> ExecuteRequest:
    return execute_request(content_hash, **{"http": {"method": "GET", "path": "/"}, **members})


@pytest.fixture
def bundle(guest_wat) -> Bundle:
    return make_bundle(guest_wat())


class CountingBundles(BundleSource):
    """Records fetches; waits for ``gate`` before it answers."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.fetched: list[tuple[str, str]] = []
        self.gate = anyio.Event()

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        self.fetched.append((tenant_id, content_hash))
        await self.gate.wait()
        return self.bundle


async def test_a_response_is_returned(runner: Runner, bundles: MemoryBundles, bundle: Bundle):
    response = await runner.execute(request_for(bundles.add(bundle)))

    assert response.model_dump() == {"status": 200, "headers": {}, "body_b64": None, "error": None}


async def test_a_failure_is_raised_with_what_it_happened_to(
    runner: Runner, bundles: MemoryBundles, guest_wat
):
    content_hash = bundles.add(make_bundle(guest_wat("unreachable")))

    with pytest.raises(GuestTrap) as raised:
        await runner.execute(request_for(content_hash))

    assert raised.value.where == {"extension": "ext", "handler": "GET /"}


async def test_capabilities_that_do_not_exist_are_refused_before_anything_is_fetched(
    settings: Settings, bundle
):
    bundles = CountingBundles(bundle)
    async with Runner(settings, bundles=bundles) as runner:
        with pytest.raises(UnknownCapabilities, match=r"cap:root, scheduler\.manage"):
            await runner.execute(
                request_for(bundle.content_hash, providers=["scheduler.manage", " CAP:ROOT ", ""])
            )

    assert bundles.fetched == []


async def test_one_tenant_s_bundle_is_not_another_s(runner: Runner, bundles: MemoryBundles, bundle: Bundle):
    content_hash = bundles.add(bundle, tenant_id="acme")
    await runner.execute(request_for(content_hash, tenant="acme"))

    with pytest.raises(BundleNotFound, match="globex"):
        await runner.execute(request_for(content_hash, tenant="globex"))


async def test_concurrent_requests_make_one_fetch(settings: Settings, bundle: Bundle):
    bundles = CountingBundles(bundle)
    async with Runner(settings, bundles=bundles) as runner, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(runner.execute, request_for(bundle.content_hash))
        await anyio.wait_all_tasks_blocked()
        bundles.gate.set()

    assert bundles.fetched == [("acme", bundle.content_hash)]


async def test_one_that_gives_up_does_not_take_the_program_from_the_others(
    settings: Settings, bundle: Bundle
):
    bundles = CountingBundles(bundle)
    responses = []

    async def ask() -> None:
        responses.append(await runner.execute(request_for(bundle.content_hash)))

    async with Runner(settings, bundles=bundles) as runner, anyio.create_task_group() as tasks:
        with anyio.CancelScope() as impatient:
            async with anyio.create_task_group() as first:
                first.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                impatient.cancel()
        bundles.gate.set()

    assert len(responses) == 1
    assert len(bundles.fetched) == 1


async def test_a_shared_failure_names_each_request_s_own_context(settings: Settings):
    broken = Bundle.from_files({"manifest.json": b"{}", "dist/main.wasm": b"no wasm"})
    bundles = CountingBundles(broken)
    contexts: dict[str, dict[str, str]] = {}

    async def ask(tenant: str) -> None:
        request = request_for(broken.content_hash, tenant=tenant)
        context = request.context.model_copy(update={"request_id": f"request of {tenant}"})
        observation = await runner.observe(request.model_copy(update={"context": context}))
        assert observation.error is not None
        contexts[tenant] = observation.error.where

    async with Runner(settings, bundles=bundles) as runner, anyio.create_task_group() as tasks:
        for tenant in ("acme", "globex"):
            tasks.start_soon(ask, tenant)
        await anyio.wait_all_tasks_blocked()
        bundles.gate.set()

    assert {tenant: where["request_id"] for tenant, where in contexts.items()} == {
        "acme": "request of acme",
        "globex": "request of globex",
    }


async def test_one_fault_met_by_many_is_an_object_of_its_own_for_each(settings: Settings, bundle: Bundle):
    class Faulty(CountingBundles):
        async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
            await super().fetch(tenant_id, extension_id, content_hash)
            raise OSError(5, "the disk is gone")

    bundles = Faulty(bundle)
    met: list[OSError] = []

    async def ask() -> None:
        with pytest.raises(OSError, match="the disk is gone") as raised:
            await runner.execute(request_for(bundle.content_hash))
        met.append(raised.value)

    async with Runner(settings, bundles=bundles) as runner, anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        bundles.gate.set()

    assert len(met) == 2
    assert met[0] is not met[1]


async def test_a_module_over_its_limit_is_not_compiled(bundle: Bundle):
    bundles = MemoryBundles()
    async with Runner(
        Settings(max_guests=8, max_memory_mb=4, max_module_bytes=10), bundles=bundles
    ) as runner:
        observation = await runner.observe(request_for(bundles.add(bundle)))

    assert observation.error is not None
    assert observation.error.code == "module_too_large"


async def test_a_failed_load_is_tried_again(runner: Runner, bundles: MemoryBundles, bundle: Bundle):
    with pytest.raises(BundleNotFound):
        await runner.execute(request_for(bundle.content_hash))

    bundles.add(bundle)

    assert (await runner.execute(request_for(bundle.content_hash))).status == 200


async def test_the_deadline_covers_the_fetch(settings: Settings, bundle: Bundle):
    async with Runner(settings, bundles=CountingBundles(bundle)) as runner:
        observation = await runner.observe(request_for(bundle.content_hash, limits={"timeout_ms": 20}))

    assert observation.error is not None
    assert observation.error.code == "deadline_exceeded"


async def test_a_deadline_names_the_host_call_it_cut_off(settings: Settings, guest_wat):
    asked = anyio.Event()

    class Silent(NoAlgaServer):
        async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
            asked.set()
            await anyio.sleep_forever()
            raise AssertionError

    bundles = MemoryBundles()
    guest = guest_wat(
        "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))",
        imports=LIST_IMPORT,
        data=b"\x80",
    )
    content_hash = bundles.add(make_bundle(guest))
    request = request_for(content_hash, providers=["cap:scheduler.manage"])
    context = request.context.model_copy(update={"install_id": "install-1"})
    async with Runner(settings, bundles=bundles, alga=Silent()) as runner:
        execution = runner.observe(request.model_copy(update={"context": context}))
        observation = await past_its_deadline(runner, execution, lambda _: asked.is_set())

    assert observation.error is not None
    assert observation.error.code == "deadline_exceeded"
    assert observation.error.where["host_call"] == "scheduler.list"


async def test_no_time_at_all_is_too_little(runner: Runner, bundles: MemoryBundles, bundle: Bundle):
    observation = await runner.observe(request_for(bundles.add(bundle), limits={"timeout_ms": 0}))

    assert observation.error is not None
    assert observation.error.code == "deadline_exceeded"


async def test_a_request_cannot_ask_for_more_time_than_there_is(bundle: Bundle, guest_wat):
    bundles = MemoryBundles()
    content_hash = bundles.add(make_bundle(guest_wat("(loop (br 0))")))
    async with Runner(Settings(max_guests=8, max_memory_mb=4, max_timeout_ms=20), bundles=bundles) as runner:
        observation = await runner.observe(request_for(content_hash, limits={"timeout_ms": 3_600_000}))

    assert observation.error is not None
    assert "20 ms" in str(observation.error)


async def test_a_runner_that_was_not_started_says_how(settings: Settings, bundle: Bundle):
    with pytest.raises(EngineUnavailable) as raised:
        await Runner(settings).execute(request_for(bundle.content_hash))

    assert raised.value.hint == "Use it as `async with Runner(settings) as runner`."


async def test_a_runner_that_ended_does_not_execute(
    settings: Settings, bundles: MemoryBundles, bundle: Bundle
):
    async with Runner(settings, bundles=bundles) as runner:
        pass

    with pytest.raises(EngineUnavailable):
        await runner.execute(request_for(bundles.add(bundle)))


async def test_every_execution_is_counted_by_how_it_ended(
    runner: Runner, bundles: MemoryBundles, bundle, guest_wat
):
    await runner.observe(request_for(bundles.add(bundle)))
    await runner.observe(request_for(bundles.add(make_bundle(guest_wat("unreachable")))))
    with pytest.raises(ModuleError):
        await runner.execute(request_for(bundles.add(make_bundle("(module)"))))

    metrics = runner.telemetry.render().decode()

    for status in ("success", "guest_trap", "abi_marker_missing"):
        assert f'alga_runner_executions_total{{status="{status}"}} 1.0' in metrics


async def test_an_observation_tells_the_log_even_of_a_failure(
    runner: Runner, bundles: MemoryBundles, guest_wat
):
    guest = guest_wat(
        "(call $emit (i32.const 3) (i32.const 1024) (i32.const 4)) unreachable",
        imports='(import "alga:log" "emit" (func $emit (param i32 i32 i32)))',
        data=b"help",
    )

    observation = await runner.observe(request_for(bundles.add(make_bundle(guest))))

    assert observation.error is not None
    assert [(line.level, line.message) for line in observation.log] == [("error", "help")]
    assert [call.operation for call in observation.host_calls] == ["log.emit"]
