"""While its guest waits for an answer, an execution keeps no more of its request than it still needs."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from alga_runner import ExecuteRequest, Runner, Settings
from alga_runner.alga import Identity
from alga_runner.bundles import MemoryBundles
from alga_runner.errors import GuestTrap
from alga_runner.models import ExecutionContext, ScheduleInfo
from alga_runner.models._base import share_given
from tests.support.bundles import make_bundle
from tests.support.component_world import OK, world_component
from tests.support.requests import execute_request
from tests.support.waiting import ANSWERS, LISTING, LISTS, LookingServer

pytestmark = pytest.mark.anyio

PATH = "/a-path-of-this-test"


@pytest.fixture
def alga_server() -> LookingServer:
    return LookingServer()


@pytest.fixture(params=["core", "component"])
def content_hash(
    request: pytest.FixtureRequest, bundles: MemoryBundles, guest_wat: Callable[..., str]
) -> str:
    """A guest that lists its schedules."""
    if request.param == "core":
        return bundles.add(make_bundle(guest_wat(LISTS + ANSWERS, **LISTING)))
    lists = f"(call $scheduler.list-schedules (i32.const 1024)) {OK}"
    return bundles.add(make_bundle(world_component(lists, ["scheduler list-schedules"])))


def request_for(content_hash: str) -> ExecuteRequest:
    return execute_request(content_hash, http={"path": f"{PATH}?query=1"}, providers=["cap:scheduler.manage"])


@pytest.mark.parametrize("method", ["execute", "observe"])
async def test_the_request_is_let_go_of(
    runner: Runner, alga_server: LookingServer, content_hash: str, method: str
):
    for _ in range(2):  # the second's call is known to be answered late
        alga_server.paths = None
        await getattr(runner, method)(request_for(content_hash))

        assert alga_server.paths is not None
        assert [path for path in alga_server.paths if path.startswith(PATH)] == []


async def test_what_failed_is_known_nonetheless(runner: Runner, bundles: MemoryBundles, guest_wat):
    content_hash = bundles.add(make_bundle(guest_wat(LISTS + "unreachable", **LISTING)))

    with pytest.raises(GuestTrap) as raised:
        await runner.execute(request_for(content_hash))

    assert raised.value.where == {"extension": "ext", "handler": f"POST {PATH}"}


async def test_waiting_executions_share_what_their_contexts_were_given(
    settings: Settings, bundles: MemoryBundles, guest_wat
):
    asked, released = anyio.Event(), anyio.Event()

    class Holding(LookingServer):
        waiting = 0

        async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
            self.waiting += 1
            if self.waiting == 2:
                asked.set()
            await released.wait()
            return []

    content_hash = bundles.add(make_bundle(guest_wat(LISTS + ANSWERS, **LISTING)))
    first, second = request_for(content_hash), request_for(content_hash)
    given = set(first.context.model_fields_set)
    async with (
        Runner(settings, bundles=bundles, alga=Holding()) as runner,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(runner.execute, first)
        tasks.start_soon(runner.execute, second)
        await asked.wait()
        shared = first.context.__pydantic_fields_set__ is second.context.__pydantic_fields_set__
        released.set()

    assert shared
    assert first.context.model_fields_set == given


@pytest.fixture
def sharing(context: ExecutionContext) -> tuple[ExecutionContext, ExecutionContext]:
    """Two contexts that were given the same members, and share the set of their names."""
    other = context.model_copy()
    share_given(context)
    share_given(other)
    assert context.__pydantic_fields_set__ is other.__pydantic_fields_set__
    return context, other


def test_a_changed_copy_leaves_the_shared_set_alone(sharing: tuple[ExecutionContext, ExecutionContext]):
    context, other = sharing

    changed = context.model_copy(update={"attempt": 2})

    assert changed.model_fields_set == context.model_fields_set | {"attempt"}
    assert "attempt" not in other.model_fields_set


def test_a_caller_cannot_change_the_shared_set(sharing: tuple[ExecutionContext, ExecutionContext]):
    context, other = sharing
    given = other.model_dump(exclude_unset=True)

    context.model_fields_set.clear()

    assert context.model_dump(exclude_unset=True) == other.model_dump(exclude_unset=True) == given != {}


@pytest.fixture
def context() -> ExecutionContext:
    return execute_request("sha256:" + "0" * 64).context
