"""One component guest: a store, an instance and its fiber, driven by its owner exactly as a core guest is."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

from ...errors import AlgaError, ExecutionError, ExportMissing, MessageLimit, Overloaded
from .. import _capi as core
from ..engine import MAX_INSTANCES, MAX_MEMORIES, MAX_TABLES
from ..guest import ERROR_OFFSET, Guest
from ..memory import GuestLimits
from . import _capi
from .failure import take_failure
from .lift import UNBOUNDED, Crossing
from .linker import LinkedComponent
from .lower import Arena, give_arena_back, pack_arguments, take_arena

_INSTANCE = 0
_FUNC = _INSTANCE + _capi.INSTANCE_SIZE
_RESULT = _FUNC + _capi.FUNC_SIZE
"""Offsets in the scratch buffer; the rest is as ``Guest`` has it."""


class ComponentGuest(Guest):
    """A fresh, isolated instance of a component. Its calls take and return values as ``lift`` describes them."""

    __slots__ = (
        "_arena",
        "_call",
        "_given",
        "_lift_result",
        "_result",
        "all_bytes",
        "code",
        "last_bytes",
        "max_items",
        "max_text",
        "session",
    )

    hides_memory = True

    def __init__(
        self, linked: LinkedComponent, limits: GuestLimits, *, max_items: int, max_text: int = UNBOUNDED
    ) -> None:
        """Make the store, in a slot if one is free.

        ``max_items`` bounds the items in the lists of one call, and ``max_text`` the bytes of its text that are copied.
        Raises ``Overloaded`` if as many components are alive as there is room for.
        """
        self.code = code = linked.on_demand
        if (pooled := linked.pooled) is not None:
            with suppress(IndexError):
                pooled.engine.free_slots.pop()
                self.code = code = pooled
        if code is not pooled and code.engine.ticker.live >= code.engine.capacity.components:
            raise Overloaded(
                "As many components are alive as there is room for.",
                hint="Try again shortly, or raise max_guests, or vm.max_map_count with sysctl.",
            )
        super().__init__(linked, limits, code.engine)
        self.max_items, self.max_text = max_items, max_text
        self._arena: Arena | None = None
        """Where the arguments of a call are until it begins."""
        self._call: tuple[str, tuple[Any, ...]] | None = None
        """The call that the next ``poll`` starts."""
        self._given: tuple[int, Any] | None = None
        """A function and its large answer, which the next ``poll`` copies."""
        self._lift_result: Any = None
        self._result: Any = None
        self._scratch[_RESULT : _RESULT + _capi.VAL_SIZE] = bytes(_capi.VAL_SIZE)
        self.last_bytes = self.all_bytes = 0
        """Bytes of text and ``list<u8>``: of its last host call's arguments, and of all that crossed."""
        self.session: Any = None
        """The execution that the guest runs, for the functions that answer it."""

    def _limit(self, limits: GuestLimits) -> None:
        core.store_limiter(
            self._store, limits.memory_bytes, limits.table_elements, MAX_INSTANCES, MAX_TABLES, MAX_MEMORIES
        )

    @property
    def instantiated(self) -> bool:
        """Whether a call of an export was started."""
        return self.handling

    @property
    def memory_bytes(self) -> int:
        """All that it may have: a component's memory cannot be seen."""
        return MAX_MEMORIES * self.engine.limits.memory_bytes if self.alive else 0

    def stop_growing(self) -> None:
        """Do nothing: a limit is of each memory, and they cannot be seen."""

    @property
    def may_have_large_memory(self) -> bool:
        """True: a component's memory cannot be seen."""
        return True

    def instantiate(self) -> None:
        """Start instantiation; ``poll`` runs it."""
        base = self._address
        self._future = _capi.instantiate_async(
            self.code.linker,
            self.context,
            self.code.component,
            base + _INSTANCE,
            base + ERROR_OFFSET,
        )

    def call(self, export: str, *arguments: Any, large: bool = False) -> None:
        """Start a call of the function ``export``; ``poll`` runs it, and ``result`` then returns what it returned.

        Arguments that are ``large`` are copied in the first ``poll``, in its thread. Raises ``ExportMissing``, and
        ``Unlowerable`` for arguments of other types, here or in that ``poll``.
        """
        if large:
            self.large, self._call = True, (export, arguments)
            return
        base = self._address
        exported = self.linked.exports.get(export)
        if exported is None or not _capi.get_func(
            base + _INSTANCE, self.context, self.code.exports[export], base + _FUNC
        ):
            raise ExportMissing(f"The component exports no function {export} that can be called.")
        self._arena = arena = take_arena()
        places = [lower(value, arena) for lower, value in zip(exported.lowers, arguments, strict=True)]
        self.all_bytes += arena.bytes
        self._lift_result = exported.lift
        self.handling = True
        self._future = _capi.call_async(
            base + _FUNC,
            self.context,
            pack_arguments(places, arena) if places else None,
            len(places),
            base + _RESULT if exported.lift else None,
            1 if exported.lift else 0,
            base + ERROR_OFFSET,
        )

    def poll(self, *, release_gil: bool = False) -> bool:
        """As ``Guest.poll``. Arguments are copied in the first; in the CPU thread, so is the result in the last.

        So are the answers of host calls that made the guest ``large``. Raises ``HostFunctionMissing`` for one that does
        not fit the function's type.
        """
        if self._given is not None:
            self._give_answer()
        if self._call is not None:
            (export, arguments), self._call = self._call, None
            self.call(export, *arguments)
        try:
            done = super().poll(release_gil=release_gil)
        finally:
            self._give_arena_back()
        if done and release_gil:
            self._result = self._lifted()
        return done

    def result(self) -> Any:
        """What the call that is done returned, once. Raises ``MessageLimit``, unless ``poll`` did."""
        if self._lift_result is None:
            result, self._result = self._result, None
            return result
        return self._lifted()

    def _lifted(self) -> Any:
        lift = self._lift_result
        if lift is None:
            return None
        try:
            crossing = Crossing(self.max_items, self.max_text)
            result = lift(self._address + _RESULT, crossing)
            if crossing.bytes > self.max_text:
                raise MessageLimit(
                    f"The guest returned {crossing.bytes} bytes of text and binary; {self.max_text} are allowed."
                )
            return result
        finally:
            self._free_values()

    def _give_arena_back(self) -> None:
        arena, self._arena = self._arena, None
        if arena is not None:
            give_arena_back(arena)

    def _free_values(self) -> None:
        """Free the result that the last call left: as many megabytes as the guest liked."""
        if self._lift_result is not None:
            self._lift_result = None
            _capi.val_delete(self._address + _RESULT)
            self._scratch[_RESULT : _RESULT + _capi.VAL_SIZE] = bytes(_capi.VAL_SIZE)

    def _answer(self, function: int, result: Any) -> None:
        if self.large:
            self._given = (function, result)
        else:
            self.linked.functions[function].give(result, self, self._results)

    def _give_answer(self) -> None:
        assert self._given is not None  # noqa: S101 - by its only caller
        (function, result), self._given = self._given, None
        try:
            self.linked.functions[function].give(result, self, self._results)
        except ExecutionError as error:
            self.pending = (function, ())
            self.fail(error)
            raise

    def _fail_pending(self, function: int) -> None:
        """Have the pending host call fail: its place for an error is gone, so its result gets a value of no such type.

        A function without a result returns; the guest ends at its next epoch check.
        """
        self._stop_at_epoch()
        result = self.linked.functions[function].type.result
        if result is not None:
            wrong = "bool" if result.kind != "bool" else "u8"
            ctypes.c_uint8.from_address(self._results).value = _capi.KINDS[wrong]

    def close(self, *, release_gil: bool = False) -> None:
        """Free everything, as ``Guest.close``."""
        closing = self.alive
        super().close(release_gil=release_gil)
        self.session = None
        if closing and self.code is self.linked.pooled:
            self.engine.free_slots.append(None)
        self._result = self._given = None
        self._give_arena_back()

    def _use_exported_memory(self) -> None:
        """Do nothing: a component's memory is its own."""

    def _error_of(self, trap: int, error: int) -> AlgaError:
        return take_failure(error)
