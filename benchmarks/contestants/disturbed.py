"""Executions with something else between them: what they cost when caches hold other things, as in a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alga_runner import ExecuteRequest

from ..child import Counts, Work, WrongAnswer
from .alga import Execute

_BYTES = bytearray(1024 * 1024)
_FUNCTIONS = 40


def _other_data() -> None:
    """Copy more than the caches next to the core hold."""
    bytes(_BYTES)


def _other_code() -> Callable[[], None]:
    """Python functions of their own: tens of KB of bytecode, and the objects that it makes."""
    body = "\n".join(f"    x += {n}; y = [x, {n}]; z = {{'a': x, 'b': y}}; x = len(z) + x" for n in range(20))
    scope: dict[str, Any] = {}
    for number in range(_FUNCTIONS):
        exec(f"def other_{number}(x):\n{body}\n    return x", scope)  # noqa: S102 - the text is above
    functions = [scope[f"other_{number}"] for number in range(_FUNCTIONS)]

    def run() -> None:
        for function in functions:
            function(1)

    return run


_BETWEEN: dict[str, Callable[[], None]] = {"other_data": _other_data, "other_code": _other_code()}


class Disturbed(Execute):
    """An order names what happens ``between`` executions, and whether there are ``executions`` at all."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Build each execution a request of its own."""
        between, count = _BETWEEN[order["between"]], order["count"]
        requests: list[ExecuteRequest | None] = [None] * count
        if order["executions"]:
            requests = [ExecuteRequest.model_validate(task.document) for task in self.tasks(order)]

        async def run() -> Counts:
            for request in requests:
                between()
                if request is not None and (await self.runner.execute(request)).status != 200:
                    raise WrongAnswer(request)
            return {"done": count}

        return run
