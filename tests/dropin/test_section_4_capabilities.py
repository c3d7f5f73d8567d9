"""Section 4: each function of the world answers a call without its grant as the table has it.

Requests to the Alga server, its answers and its refusals are in integration/capabilities, a module for each group.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from alga_runner.engine import FunctionType
from tests.support.component_relay import flatten
from tests.support.component_world import WORLD, world_component
from tests.support.host_calls import ANSWERS_CASE, ANSWERS_TEXT, Calling, calling

pytestmark = pytest.mark.anyio

RESULT = 512
"""Where a function's result is, if it is more than one value."""

ZEROS = 4096
"""Where memory has arguments that are zeros, for a function with more than ``MAX_FLAT``."""
MAX_FLAT = 16

CASES = {
    ("secrets", "get"): (516, "denied"),
    ("http", "fetch"): (516, "not-allowed"),
    ("storage", "get"): (520, "denied"),
    ("storage", "put"): (520, "denied"),
    ("storage", "delete"): (513, "denied"),
    ("storage", "list-entries"): (516, "denied"),
    ("ui-proxy", "call-route"): (516, "denied"),
    ("scheduler", "list-schedules"): (516, "denied"),
    ("scheduler", "get-schedule"): (516, "denied"),
    ("scheduler", "get-endpoints"): (516, "denied"),
    ("clients", "list-clients"): (516, "not-allowed"),
    ("clients", "get-client"): (516, "not-allowed"),
    ("services", "list-services"): (516, "not-allowed"),
    ("services", "get-service"): (520, "not-allowed"),
}
"""By function: where the case of its error is, and which one it is."""

TEXTS = {
    ("scheduler", "create-schedule"): (532, "cap:scheduler.manage"),
    ("scheduler", "update-schedule"): (520, "cap:scheduler.manage"),
    ("scheduler", "delete-schedule"): (520, "cap:scheduler.manage"),
    ("invoicing", "create-manual-invoice"): (604, "cap:invoice.manual.create"),
}
"""By function that never fails: where its ``error`` is, and the capability that it names."""

GRANTED = {"context", "logging", "user", "user-v2"}
"""Interfaces that need no grant."""


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Calling]:
    async with calling() as running:
        yield running


def called(interface: str, function: str, of: FunctionType) -> str:
    """A call with empty texts, empty lists, absent options and zeros."""
    zeros = [f"({letter}.const 0)" for _, param in of.params for letter in flatten(param)]
    if len(zeros) > MAX_FLAT:
        zeros = [f"(i32.const {ZEROS})"]
    return f"(call ${interface}.{function} {' '.join(zeros)} (i32.const {RESULT}))"


async def refused(place: Calling, interface: str, function: str, end: str) -> tuple[int, str]:
    """Status and body of a component that calls the function without a grant, and ends so."""
    of = WORLD.functions[interface, function]
    handler = f"(local $text i32) {called(interface, function, of)} {end}"
    guest = world_component(handler, [f"{interface} {function}"])

    observation = await place.observe(guest, grants=())

    assert observation.response is not None, observation.error
    assert [call.status for call in observation.host_calls] == ["denied"]
    assert place.server.requests == []
    return observation.response.status, observation.response.body().decode()


def test_every_function_that_needs_a_grant_is_here() -> None:
    needing = {name for name in WORLD.functions if name[0] not in GRANTED}

    assert needing == {*CASES, *TEXTS, ("secrets", "list-keys")}


@pytest.mark.parametrize("name", CASES, ids=" ".join)
async def test_a_function_with_an_error_answers_its_case(place: Calling, name: tuple[str, str]) -> None:
    at, case = CASES[name]
    error = getattr(WORLD.functions[name].result, "error", None)
    assert error is not None

    status, _ = await refused(place, *name, ANSWERS_CASE.format(case=at))

    assert status == 210 + error.names.index(case)


@pytest.mark.parametrize("name", TEXTS, ids=" ".join)
async def test_a_function_that_never_fails_names_the_missing_grant(
    place: Calling, name: tuple[str, str]
) -> None:
    at, capability = TEXTS[name]

    _, text = await refused(place, *name, f"(local.set $text (i32.const {at})) {ANSWERS_TEXT}")

    assert text.startswith(f"Permission denied: {capability} not granted")


async def test_the_list_of_secrets_is_empty(place: Calling) -> None:
    count = f"(i32.store16 (i32.const 0) (i32.add (i32.const 200) (i32.load (i32.const {RESULT + 4}))))"

    status, _ = await refused(place, "secrets", "list-keys", f"{count} (i32.const 0)")

    assert status == 200
