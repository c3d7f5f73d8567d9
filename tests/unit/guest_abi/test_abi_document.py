"""ABI.md is true: its guest runs, its bytes decode, its table is the operation table."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgpack
import pytest

from alga_runner import Observation
from alga_runner.capabilities import OPERATIONS
from alga_runner.errors import ExecutionError, HostCallCode

ABI = (Path(__file__).parents[3] / "guest-abi" / "ABI.md").read_text("utf-8")

GENERAL_CODES = {"denied", "validation-failed", "too-large", "internal"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", ABI, re.MULTILINE | re.DOTALL)


def bytes_of(block: str) -> bytes:
    """The hexadecimal columns of an annotated block."""
    pairs = [re.match(r"\s*((?:[0-9a-f]{2}(?: |$))+)", line) for line in block.splitlines()]
    return bytes.fromhex("".join(pair[1] for pair in pairs if pair))


@pytest.mark.anyio
async def test_the_guest_in_full_answers(observe: Callable[..., Awaitable[Observation]]) -> None:
    (guest,) = blocks("wat")

    observation = await observe(guest)

    assert observation.response is not None, observation.error
    assert observation.response.status == 200
    assert observation.response.headers == {"content-type": "text/plain"}
    assert base64.b64decode(observation.response.body_b64 or "") == b"hello"


def test_the_bytes_of_the_example_are_what_they_are_said_to_be() -> None:
    create, created, refused = map(bytes_of, blocks("hex"))

    assert (len(create), len(created), len(refused)) == (46, 54, 93)
    assert msgpack.unpackb(create) == {"endpoint": "/sync", "cron": "0 * * * *", "payload": {"full": False}}
    assert msgpack.unpackb(created) == {"ok": {"scheduleId": "6f1c8f0e-2a1d-4f0a-9d3b-0c5b7f1a2e34"}}
    assert msgpack.unpackb(refused)["err"]["fieldErrors"] == {"timezone": "Invalid timezone"}


def test_the_table_of_host_calls_is_the_operation_table() -> None:
    rows = re.findall(
        r"^\| `alga:([a-z-]+)` \| `([a-z-]+)` \| `(cap:[a-z.]+)` \|(.*)\|.*\|(.*)\|$", ABI, re.MULTILINE
    )
    documented = {
        f"{group}.{function}": (capability, set(re.findall(r"`([a-z-]+)`", codes)))
        for group, function, capability, _, codes in rows
    }

    assert documented == {
        name: (operation.capability, {code.value for code in operation.codes} - GENERAL_CODES)
        for name, operation in OPERATIONS.items()
        if name != "log.emit"
    }


def test_every_member_of_every_request_and_reply_is_in_the_table() -> None:
    for name, operation in OPERATIONS.items():
        if name == "log.emit":
            continue
        row = re.search(rf"^\| `alga:{operation.group}` \| `{operation.function}` \|.*$", ABI, re.MULTILINE)
        assert row is not None
        _, _, _, _, request, reply, *_ = row[0].split("|")
        for model, text in ((operation.input, request), (operation.output, reply)):
            assert model.model_fields or "{}" in text, name
            for field_name, field in model.model_fields.items():
                member = (field.alias or field_name) + ("" if field.is_required() else "?")
                assert re.search(rf"[{{ ]{re.escape(member)}[,:}}]", text), (name, member)


@pytest.mark.parametrize("code", list(HostCallCode))
def test_every_code_a_guest_can_meet_is_explained(code: HostCallCode) -> None:
    assert f"\n| `{code.value}` |" in ABI


def test_everything_that_ends_an_execution_is_listed() -> None:
    def leaves(kind: type[ExecutionError]) -> set[str]:
        below: set[str] = set()
        return below.union(*map(leaves, kind.__subclasses__())) if kind.__subclasses__() else {kind.code}

    section = ABI.partition("## What ends an execution")[2].partition("\n## ")[0]

    assert leaves(ExecutionError) <= set(re.findall(r"`([a-z_]+)`", section))
