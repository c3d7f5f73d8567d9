"""Every member of every host call goes through the SDKs' typed functions, both ways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import pytest

from alga_runner import Observation
from alga_runner.capabilities import Gate
from tests.support.schema import OPERATIONS, definition_of, members, sample

pytestmark = pytest.mark.anyio

Call = Callable[..., Awaitable[Observation]]

BY_HAND = ("context.", "scheduler.", "log.")
"""Host calls that test_sdk_host_calls.py tries."""

TRIED = [name for name in OPERATIONS if not name.startswith(BY_HAND)]


class Replaying:
    """In place of the gate: keeps the requests of host calls, and answers with a document of the schema."""

    def __init__(self, *, whole: bool, silent: bool = False) -> None:
        self.whole = whole
        self.silent = silent
        self.seen: list[tuple[str, object]] = []

    def input(self, operation: str) -> dict[str, Any]:
        return sample(definition_of(OPERATIONS[operation]["input"]), whole=self.whole)

    def output(self, operation: str) -> dict[str, Any]:
        return {} if self.silent else sample(definition_of(OPERATIONS[operation]["output"]), whole=self.whole)

    async def call(self, _execution: object, operation: Any, request: Any, codec: Any) -> Any:
        self.seen.append((operation.name, codec.decode(request)))
        return codec.encode({"ok": self.output(operation.name)})


@pytest.fixture(
    params=[
        *("codec", "rust", "c"),
        *(pytest.param(name, marks=pytest.mark.guests) for name in ("go", "rust_on_wasi")),
    ]
)
def guest(request: pytest.FixtureRequest) -> Call:
    call: Call = request.getfixturevalue(request.param)
    return call


@pytest.mark.parametrize("whole", [True, False], ids=["every-member", "required-members"])
async def test_inputs_are_written_and_outputs_are_read(
    whole: bool, guest: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Replaying(whole=whole)
    monkeypatch.setattr(Gate, "call", lambda _, *arguments: host.call(*arguments))
    for operation in TRIED:
        observation = await guest(f"/perform/{operation}", msgpack.packb(host.input(operation)))

        assert observation.response is not None, observation.error
        answer = msgpack.unpackb(observation.response.body())
        assert answer == {"ok": value(operation, host.output(operation))}, operation
        assert host.seen.pop() == (operation, host.input(operation))


async def test_an_output_without_a_required_member_is_an_error(
    guest: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Replaying(whole=False, silent=True)
    monkeypatch.setattr(Gate, "call", lambda _, *arguments: host.call(*arguments))
    for operation in TRIED:
        observation = await guest(f"/perform/{operation}", msgpack.packb(host.input(operation)))

        assert observation.response is not None, observation.error
        answer = msgpack.unpackb(observation.response.body())
        if any(members(definition_of(OPERATIONS[operation]["output"])).values()):
            assert answer["err"]["code"] == "internal", operation
        else:
            assert answer == {"ok": None}, operation


def value(operation: str, output: dict[str, Any]) -> object:
    """What a typed function gives of an output: nothing of an empty one, of one with a single member that one."""
    properties = [*sample(definition_of(OPERATIONS[operation]["output"]))]
    match properties:
        case []:
            return None
        case [member]:
            return output.get(member)
        case _:
            return output
