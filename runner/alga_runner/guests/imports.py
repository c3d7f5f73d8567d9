"""One import a guest may link to: its name and type, and what answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from ..engine import HostFunction, Signature


@dataclass(frozen=True, slots=True)
class Import:
    """A host function and its answer, ``answer(session, *arguments)``: one that is a coroutine suspends the guest.

    ``early`` functions work before the handler starts (guest ABI, "Exports"). ``capability`` is the one its call
    needs, ``None`` for the ABI's own.
    """

    function: HostFunction
    answer: Callable[..., Any]
    early: bool = False
    capability: str | None = None

    @property
    def name(self) -> str:
        """``alga:scheduler create``, as messages name it."""
        return f"{self.function.module} {self.function.name}"


def host_import(
    module: str,
    name: str,
    params: str,
    results: str,
    answer: Callable[..., Any],
    *,
    early: bool = False,
    capability: str | None = None,
) -> Import:
    """An import with the signature spelled in letters (``Signature``)."""
    function = HostFunction(module, name, Signature(params, results), suspends=iscoroutinefunction(answer))
    return Import(function, answer, early, capability)
