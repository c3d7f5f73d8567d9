"""A component whose types are not the host's runs, or ends with words: the runner itself never fails of it."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alga_runner.alga import NoAlgaServer
from alga_runner.capabilities import Execution, Gate, LogLimits
from alga_runner.engine import (
    Budget,
    ComponentGuest,
    ComponentImport,
    FunctionType,
    Offer,
    Unlowerable,
    ValueType,
)
from alga_runner.engine.component.lower import Arena, lowerer
from alga_runner.errors import AlgaError
from alga_runner.guests import wasi_p2
from alga_runner.guests.component import ComponentCodec
from alga_runner.guests.component_session import ComponentSession
from alga_runner.guests.component_world import BINDINGS
from alga_runner.guests.log import GuestLog
from alga_runner.guests.session import CallPace, SessionLimits
from alga_runner.models import KNOWN_CAPABILITIES, ExecutionContext
from alga_runner.telemetry import Telemetry
from tests.support.component_relay import value_types, values
from tests.support.component_world import OK, WORLD, world_component
from tests.support.components import component, instance, linked

LIMITS = SessionLimits(1000, 1000, 1_000_000, 10_000, 1000, 10_000, 10_000)
TEXT = ValueType("string")
WASI = [(interface, name) for interface, names in wasi_p2._ANSWERS.items() for name in names]
GATE = Gate(Telemetry())


def session(guest: ComponentGuest) -> ComponentSession:
    execution = Execution(
        ExecutionContext(tenant_id="acme", extension_id="ext", content_hash="sha256:0"),
        frozenset(KNOWN_CAPABILITIES),
        NoAlgaServer(),
        monotonic() + 300,
        None,
        10_000,
        LogLimits(1000, 100, 10_000),
    )
    pace = CallPace(LIMITS, Budget(), 1)
    return ComponentSession(guest, execution, limits=LIMITS, pace=pace, log=GuestLog(GATE))


def answered(offer: Offer, of: FunctionType, arguments: tuple[Any, ...]) -> None:
    """Call what ``offer`` gives, and lower its answer."""

    async def call() -> None:
        with instance(linked(component("(component)"))) as guest:
            answer = offer.answer(session(guest), *arguments)
            if isinstance(answer, Awaitable):
                with anyio.move_on_after(0):
                    answer = await answer
            if of.result is not None and not isinstance(answer, Awaitable):
                lowerer(of.result)(answer, Arena())

    with suppress(AlgaError, Unlowerable):  # the guest ends, with words
        anyio.run(call)


FEW = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(data=st.data(), name=st.sampled_from(WASI), result=st.none() | value_types(1))
def test_a_function_of_wasi_with_other_types_ends_at_most_the_guest(
    data: st.DataObject, name: tuple[str, str], result: ValueType | None
) -> None:
    params = data.draw(st.lists(value_types(1), max_size=2))
    of = FunctionType(tuple((f"p{place}", param) for place, param in enumerate(params)), result)
    offer = wasi_p2.offer(ComponentImport(name[0], "0.2.3", name[1], of))

    if offer is not None:
        answered(offer, of, tuple(data.draw(values(param)) for param in params))


@FEW
@given(data=st.data(), name=st.sampled_from(sorted(BINDINGS)), result=st.none() | value_types(1))
def test_a_function_of_the_world_with_other_types_ends_at_most_the_guest(
    data: st.DataObject, name: tuple[str, str], result: ValueType | None
) -> None:
    names = st.sampled_from(["input", "schedule-id", "message", "payload", "key"])
    params = tuple(
        data.draw(st.lists(st.tuples(names, value_types(1)), max_size=2, unique_by=lambda one: one[0]))
    )
    of = FunctionType(params, result)
    binding = BINDINGS[name]
    codec = ComponentCodec(binding, ComponentImport(name[0], "", name[1], of), LIMITS)

    async def answer(session: ComponentSession, *arguments: Any) -> Any:
        return await GATE.call(session.execution, binding.operation, (session, arguments), codec)

    answered(Offer(answer), of, tuple(data.draw(values(param)) for _, param in params))


def handler(request: ValueType, response: ValueType | None = WORLD.types["execute-response"]) -> FunctionType:
    return FunctionType((("request", request),), response)


def record(**members: ValueType) -> ValueType:
    return ValueType("record", tuple((name.replace("_", "-"), of) for name, of in members.items()))


REQUEST = WORLD.types["execute-request"]
U16, TEXTS = ValueType("u16"), ValueType("list", element=TEXT)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("of", "words"),
    [
        (handler(TEXT, TEXT), "is a func(request: string) -> string, not a func(request: execute-request)"),
        (handler(REQUEST, TEXT), "not a func(request: execute-request)"),
        (handler(REQUEST, None), "not a func(request: execute-request)"),
        (handler(REQUEST, record(status=TEXT)), "not a func(request: execute-request)"),
        (handler(ValueType("option", element=TEXT)), "not a func(request: execute-request)"),
        (handler(record(http=TEXT)), "cannot be given a request: dict does not fit record { http: string }"),
        (
            handler(record(nonsense=TEXT)),
            "cannot be given a request: The component was built against another",
        ),
        (handler(record(context=TEXTS)), "its type has a list where the host has another value"),
        (
            handler(record(http=record(method=record(x=TEXT)))),
            "its type has a record where the host has another",
        ),
    ],
)
async def test_a_handler_of_another_type_is_refused_with_what_it_should_be(
    observe, of: FunctionType, words: str
) -> None:
    observation = await observe(world_component("unreachable", handler_type=of))

    assert observation.error.code == "export_mistyped"
    assert words in str(observation.error)
    assert observation.error.hint == "Build it for the world runner of guest-abi/wit."


@pytest.mark.anyio
async def test_a_handler_may_take_less_of_a_request_and_return_less_of_a_response(observe) -> None:
    of = handler(record(http=record(method=TEXT)), record(status=U16))

    observation = await observe(world_component("i32.const 204", handler_type=of))

    assert observation.response is not None
    assert observation.response.status == 204


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("response", "words"),
    [
        (record(status=U16, headers=TEXT), "headers of the guest's response are a string"),
        (record(status=U16, headers=TEXTS), "Header 0 of the guest's response has no name and value"),
        (record(status=U16, body=TEXT), "body of the guest's response is a string"),
        (record(status=U16, body=ValueType("flags", names=("a",))), "body of the guest's response is"),
    ],
)
async def test_a_response_of_another_type_is_invalid_and_says_where(observe, response, words: str) -> None:
    members = """(i32.store16 (i32.const 0) (i32.const 200)) (i32.store (i32.const 4) (i32.const 64))
      (i32.store (i32.const 8) (i32.const 1)) (i32.const 0)"""

    observation = await observe(world_component(members, handler_type=handler(REQUEST, response)))

    assert observation.error.code == "invalid_response"
    assert words in str(observation.error)


def listing(*, error: tuple[str, ...] = ("internal",), **members: ValueType) -> FunctionType:
    """A ``get-endpoints`` whose records have these members, and whose error has these cases."""
    cases = ValueType("enum", names=error)
    return FunctionType(
        (), ValueType("result", element=ValueType("list", element=record(**members)), error=cases)
    )


ENDPOINTS = "scheduler get-endpoints"
ANSWERS_CASE = """(call $scheduler.get-endpoints (i32.const 512))
  (i32.store16 (i32.const 0) (i32.add (i32.const 200)
    (i32.add (i32.load8_u (i32.const 512)) (i32.load8_u (i32.const 516)))))
  (i32.store (i32.const 4) (i32.const 0)) (i32.store (i32.const 8) (i32.const 0)) (i32.const 0)"""
"""Answers 200 for an empty list, and 201 and the number of the case for an error."""


@pytest.mark.anyio
async def test_a_function_that_the_host_does_not_know_fails_only_in_its_call(observe) -> None:
    imports = {"scheduler pause-everything": FunctionType(), "telepathy send": FunctionType()}

    unused = await observe(world_component(imports=imports))
    used = await observe(world_component("(call $telepathy.send)" + OK, imports))

    assert unused.response is not None
    assert used.error.code == "host_function_missing"
    assert "The component called alga:extension/telepathy send, which the host does not have" in str(
        used.error
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("cases", "status"),
    [(("denied", "internal"), 201), (("not-found", "internal"), 202), (("a", "b", "c"), 203)],
)
async def test_an_error_is_the_nearest_case_that_the_component_has(observe, cases, status: int) -> None:
    of = listing(error=cases, id=TEXT)

    observation = await observe(world_component(ANSWERS_CASE, {ENDPOINTS: of}))

    assert observation.response is not None
    assert observation.response.status == status
    assert [call.status for call in observation.host_calls] == ["denied"]
