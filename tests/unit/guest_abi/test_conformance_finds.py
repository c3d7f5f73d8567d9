"""A fault in this runner fails the cases of the rule that it breaks: what a kit is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alga_runner.capabilities import gate
from alga_runner.cli.conformance.kit import load_cases, pick
from alga_runner.cli.conformance.ours import own_host
from alga_runner.cli.conformance.report import carry_out
from alga_runner.guests import abi, core, log, messages
from alga_runner.guests.session import Session

pytestmark = pytest.mark.anyio


def nothing(*_: Any, **__: Any) -> None:
    """In place of a check."""


def keep_reply(session: Any, *arguments: Any, begin: Callable[..., None] = core._begin) -> None:
    """Begin a host call, and leave the earlier one's reply."""
    reply = session.reply
    begin(session, *arguments)
    session.reply = reply


def write_part(session: Any, reply: bytes, offset: int, capacity: int) -> int:
    """End a host call, and write as much of the reply as fits."""
    session.put(offset, reply[:capacity])
    session.reply = reply
    return len(reply)


FAULTS = [
    ((Session, "require_handler", nothing), "respond/then a host call"),
    ((Session, "require_handler", nothing), "early/alga:scheduler list, in _initialize"),
    ((Session, "check_range", nothing), "pointers/host call: the reply's range, though the reply would fit"),
    ((core, "_begin", keep_reply), "reply/gone with the next host call"),
    ((core, "_end", write_part), "reply/a buffer that is too small stays as it is"),
    ((gate, "_deny", nothing), "scheduler.list/denied without the capability, and not even decoded"),
    ((gate, "_retryable", lambda *_: False), "retryable/scheduler.list: timeout"),
    ((core, "without_forbidden_body", lambda response, _: response), "respond/no body with 204"),
    ((log, "LEVELS", ("debug", "info", "warn")), "log/level 3 is error"),
    ((abi, "_check_import", nothing), "imports/unknown: alga:abi respnd"),
    ((messages, "MAX_DEPTH", 33), "vectors/values: 33 containers deep, with the map"),
]


@pytest.mark.parametrize(("fault", "case"), FAULTS, ids=[case for _, case in FAULTS])
async def test_a_fault_fails_the_case_of_its_rule(
    monkeypatch: pytest.MonkeyPatch, fault: tuple[Any, str, Any], case: str
) -> None:
    cases = [one for one in pick(load_cases(), case) if one.name == case]
    monkeypatch.setattr(*fault)

    async with own_host() as own:
        (outcome,) = await carry_out(own, cases)

    assert outcome.faults
