"""Runs guests of either kind: core modules of ABI v1, and components."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from alga_common.sharing.large_work import LargeWorkQueue

from ..capabilities import Execution, Gate
from ..engine import Budget, Component, Engine, GuestLimits, Module
from ..models import ExecuteRequest, ExecuteResponse
from .abi import Import, check_module
from .component import ComponentHost, ComponentProgram, check_component
from .core import CoreHost, CoreProgram
from .session import SessionLimits


def check(module: Module | Component, imports: Mapping[tuple[str, str], Import]) -> None:
    """Raise the ``ModuleError`` for which the host would not run ``module``, whose core imports may be ``imports``."""
    if isinstance(module, Component):
        check_component(module)
    else:
        check_module(module, imports)


Program: TypeAlias = CoreProgram | ComponentProgram
"""A module or component that was checked, compiled and linked: ready for any number of executions."""


class Host:
    """Links modules and components to the host's functions, and runs them."""

    def __init__(
        self,
        engine: Engine,
        gate: Gate,
        limits: SessionLimits,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        large_work: LargeWorkQueue | None = None,
    ) -> None:
        """``clock_ns`` is the wall clock guests see, in nanoseconds since 1970; ``large_work`` does what takes long."""
        large_work = large_work or LargeWorkQueue()
        self._core = CoreHost(engine, gate, limits, clock_ns=clock_ns, large_work=large_work)
        self._components = ComponentHost(gate, limits, clock_ns=clock_ns, large_work=large_work)

    def link(self, module: Module | Component, wasm: bytes) -> Program:
        """Check and link ``module``, loaded from ``wasm``: milliseconds of CPU, so call it in a worker thread.

        Raises a ``ModuleError``.
        """
        if isinstance(module, Component):
            return self._components.link(module)
        return self._core.link(module, wasm)

    def execute(
        self,
        program: Program,
        request: ExecuteRequest,
        execution: Execution,
        limits: GuestLimits,
        budget: Budget,
    ) -> Awaitable[ExecuteResponse]:
        """One execution in a fresh instance, within ``budget``. Raises an ``ExecutionError`` or a ``RequestError``."""
        if isinstance(program, ComponentProgram):
            return self._components.execute(program, request, execution, limits, budget)
        return self._core.execute(program, request, execution, limits, budget)
