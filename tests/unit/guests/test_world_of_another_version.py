"""A component built for an older or a newer world exchanges the values that both worlds have."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from alga_runner import Observation, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.engine import FunctionType, ValueType
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.models import ScheduleInfo
from alga_runner.models.schedule import CreateScheduleInput
from tests.support.bundles import make_bundle
from tests.support.component_world import WORLD, world_component
from tests.support.host_calls import ANSWERS_TEXT
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

TEXT, BOOL, U32 = ValueType("string"), ValueType("bool"), ValueType("u32")
ID = "3f0f6a52-0e3b-4a5e-8d0a-5c1d1b6f2d11"
SCHEDULE = ScheduleInfo(
    id=ID, endpoint_path="/go", endpoint_method="POST", cron="0 * * * *", timezone="UTC", enabled=True
)


def option(of: ValueType) -> ValueType:
    return ValueType("option", element=of)


def record(**members: ValueType) -> ValueType:
    return ValueType("record", tuple((name.replace("_", "-"), of) for name, of in members.items()))


def older(of: ValueType, *names: str) -> ValueType:
    """The record with those members alone."""
    return ValueType("record", tuple(member for member in of.members if member[0] in names))


def newer(of: ValueType, **members: ValueType) -> ValueType:
    """The record with more members, at its end."""
    return ValueType("record", (*of.members, *record(**members).members))


class Server(NoAlgaServer):
    """An Alga server with one schedule, which takes any other, or refuses it."""

    def __init__(self) -> None:
        self.created: list[CreateScheduleInput] = []
        self.refuses = False

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        return [SCHEDULE]

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        if self.refuses:
            raise HostCallError(
                HostCallCode.VALIDATION_FAILED,
                "The schedule is invalid.",
                field_errors={"cron": "is no cron"},
            )
        self.created.append(schedule)
        return ID


async def observe(component: bytes, server: Server | None = None) -> Observation:
    bundles = MemoryBundles()
    request = execute_request(bundles.add(make_bundle(component)), providers=["cap:scheduler.manage"])
    settings = Settings(max_guests=2, max_guests_per_tenant=2, max_memory_mb=4, code_cache="off")
    async with Runner(settings, bundles=bundles, alga=server or Server()) as runner:
        return await runner.observe(request)


LISTS = f"""(local $text i32) (call $scheduler.list-schedules (i32.const 512))
  (if (i32.load8_u (i32.const 512)) (then unreachable))
  (local.set $text (i32.load (i32.const 516))) {ANSWERS_TEXT}"""


def listing(info: ValueType) -> Mapping[str, FunctionType]:
    """A ``list-schedules`` whose records are ``info``."""
    result = ValueType(
        "result", element=ValueType("list", element=info), error=WORLD.types["scheduler-error"]
    )
    return {"scheduler list-schedules": FunctionType((), result)}


INFO = WORLD.types["schedule-info"]


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(INFO, id="this world's"),
        pytest.param(older(INFO, "id"), id="older, one member"),
        pytest.param(older(INFO, "id", "cron", "enabled", "payload"), id="older"),
        pytest.param(newer(INFO, colour=option(TEXT), weight=option(U32)), id="newer"),
        pytest.param(ValueType("record", (INFO.members[0], *INFO.members[:0:-1])), id="in another order"),
    ],
)
async def test_records_of_another_version_have_the_members_that_both_know(info: ValueType) -> None:
    observation = await observe(world_component(LISTS, listing(info)))

    assert observation.response is not None
    assert observation.response.body() == ID.encode()


NEEDS = "The component was built against another version of the interface: its type has "


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (newer(INFO, colour=TEXT), "a member colour, which the host has no value for"),
        (record(colour=TEXT), "a member colour, which the host has no value for"),
        (record(id=TEXT, name=TEXT), "a member name, which the host has no value for"),
        (record(id=ValueType("list", element=TEXT)), "a list where the host has another value"),
        (record(id=TEXT, cron=ValueType("enum", names=("daily",))), "the case '0 * * * *' of an enum"),
    ],
)
async def test_a_record_that_needs_more_than_the_host_has_is_an_error_of_its_call_alone(
    info: ValueType, words: str
) -> None:
    unused = await observe(world_component(imports=listing(info)))
    used = await observe(world_component(LISTS, listing(info)))

    assert unused.response is not None
    (call,) = used.host_calls
    assert call.status == "internal"
    assert call.reply["err"]["message"].startswith(NEEDS + words)


async def test_a_member_whose_type_no_value_of_the_host_fits_ends_the_guest_in_the_call_alone() -> None:
    imports = listing(record(id=U32))

    unused = await observe(world_component(imports=imports))
    used = await observe(world_component(LISTS, imports))

    assert unused.response is not None
    assert used.error is not None
    assert used.error.code == "host_function_missing"
    assert "scheduler list-schedules with a type that the host has no value of" in str(used.error)


INPUT, CREATED = WORLD.types["create-schedule-input"], WORLD.types["create-schedule-result"]
ENDPOINT, CRON = "POST /go", "0 * * * *"
DATA = f'(data (i32.const 2000) "{ENDPOINT}") (data (i32.const 2100) "{CRON}")'


def creating(
    given: ValueType, result: ValueType, more: str = "", *, text: int = 516
) -> tuple[str, Mapping[str, FunctionType]]:
    """A handler that creates a schedule from an endpoint, a cron and ``more``, and answers the text at ``text``."""
    handler = f"""(local $text i32)
      (call $scheduler.create-schedule (i32.const 2000) (i32.const {len(ENDPOINT)})
        (i32.const 2100) (i32.const {len(CRON)}) {more} (i32.const 512))
      (local.set $text (i32.const {text})) {ANSWERS_TEXT}"""
    return handler, {"scheduler create-schedule": FunctionType((("input", given),), result)}


NONE_OF_TEXT, RED = (
    "(i32.const 0) (i32.const 0) (i32.const 0)",
    "(i32.const 1) (i32.const 2000) (i32.const 4)",
)
OLDER = older(INPUT, "endpoint", "cron")


@pytest.mark.parametrize(
    ("given", "more"),
    [
        pytest.param(OLDER, "", id="older"),
        pytest.param(newer(OLDER, colour=option(TEXT)), NONE_OF_TEXT, id="newer, without the new member"),
        pytest.param(newer(OLDER, colour=option(TEXT)), RED, id="newer, with the new member"),
    ],
)
async def test_a_record_that_a_component_of_another_version_gives_is_understood(
    given: ValueType, more: str
) -> None:
    server = Server()
    handler, imports = creating(given, older(CREATED, "success", "schedule-id"), more, text=520)

    observation = await observe(world_component(handler, imports, code=DATA), server)

    assert observation.response is not None
    assert observation.response.body() == ID.encode()
    assert [(one.endpoint, one.cron) for one in server.created] == [(ENDPOINT, CRON)]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        pytest.param(CREATED, b"The schedule is invalid.", id="this world's"),
        pytest.param(
            older(CREATED, "success", "error"), b"The schedule is invalid. (cron: is no cron)", id="older"
        ),
        pytest.param(
            newer(older(CREATED, "success", "error"), retry_after=option(U32)),
            b"The schedule is invalid. (cron: is no cron)",
            id="newer",
        ),
    ],
)
async def test_a_refusal_reaches_a_component_of_another_version(result: ValueType, text: bytes) -> None:
    server = Server()
    server.refuses = True
    place = 532 if any(name == "schedule-id" for name, _ in result.members) else 520
    handler, imports = creating(OLDER, result, text=place)

    observation = await observe(world_component(handler, imports, code=DATA), server)

    assert observation.response is not None
    assert observation.response.body() == text
