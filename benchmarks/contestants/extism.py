"""Extism's Python SDK, as its documentation has it used: a compiled plugin, no WASI, its own defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import extism
from extism.extism import CompiledPlugin  # where 1.1.1 keeps it; its documentation has extism.CompiledPlugin

from ..child import Contestant, Counts, Work, WrongAnswer
from .workload import REPLIES, extism_guest, works
from .workload import Work as Task

_answered = 0


@extism.host_fn()  # type: ignore[untyped-decorator, unused-ignore]
def scheduler_create(request: bytes) -> bytes:
    """A bare host function: it takes the bytes and answers with bytes."""
    global _answered  # noqa: PLW0603 - Extism's host functions are functions
    _answered += 1
    return REPLIES["create"]


@extism.host_fn()  # type: ignore[untyped-decorator, unused-ignore]
def scheduler_list(request: bytes) -> bytes:
    """The same, with a longer answer."""
    global _answered  # noqa: PLW0603 - Extism's host functions are functions
    _answered += 1
    return REPLIES["list"]


class Reused(Contestant):
    """One plugin for all calls: what a call leaves in its memory, the next one finds."""

    functions = (scheduler_create, scheduler_list)
    """Its host functions."""

    def __init__(self) -> None:
        self.compiled = CompiledPlugin(extism_guest(), functions=list(self.functions))
        self._plugin = extism.Plugin(self.compiled)
        self._works: dict[str, list[Task]] = {}

    def call(self) -> Callable[[str, bytes], bytes]:
        """What calls the plugin."""
        call: Callable[[str, bytes], bytes] = self._plugin.call
        return call

    def answered(self) -> int:
        """How many host calls were answered so far."""
        return _answered

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Lay out the inputs."""
        path, count = order.get("path", "/echo"), order["count"]
        pool = self._works.setdefault(path, works(path))
        tasks = [pool[index % len(pool)] for index in range(count)]
        pairs = [(task.guest_input, task.guest_output) for task in tasks]
        call = self.call()

        async def run() -> Counts:
            answered = self.answered()
            for given, expected in pairs:
                if call("handle", given) != expected:
                    raise WrongAnswer(path)
            return {"done": count, "checked": count, "host_calls": self.answered() - answered}

        return run


class Isolated(Reused):
    """A fresh plugin for each call: as isolated as an execution of ours."""

    def call(self) -> Callable[[str, bytes], bytes]:
        """What makes a plugin and calls it."""
        compiled = self.compiled

        def call(function: str, given: bytes) -> bytes:
            output: bytes = extism.Plugin(compiled).call(function, given)
            return output

        return call
