"""An error as the reply of ``/v1/execute``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alga_runner.errors import AlgaError, ExecutionError, GuestTrap, ModuleError
from alga_runner.frames import Frame
from alga_runner.service.replies import error_reply


def leaves(*kinds: type[AlgaError]) -> list[type[AlgaError]]:
    return [leaf for kind in kinds for leaf in (leaves(*kind.__subclasses__()) or [kind])]


def text_of(error: AlgaError) -> str:
    body = error_reply(error, []).body
    document: dict[str, Any] = json.loads(body if isinstance(body, bytes) else b"".join(body))
    return str(document["error"])


@pytest.mark.parametrize(
    "kind",
    leaves(ModuleError, ExecutionError),
    ids=lambda kind: kind.code,
)
def test_the_reply_has_the_hint(kind: type[AlgaError]) -> None:
    assert text_of(kind("It failed.", hint="Do this.")).endswith("It failed. Do this.")


def test_the_stack_comes_last() -> None:
    error = GuestTrap("It failed.", hint="Do this.", frames=(Frame("run"),))

    assert text_of(error).endswith(": It failed. Do this. Stack: run")
