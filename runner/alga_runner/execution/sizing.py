"""How large a runner's engine is, and what a guest may take of it, by the settings and the process's memory."""

from __future__ import annotations

import logging

from ..engine import WARM_MODULE_BYTES, WARM_MODULES, Engine, EngineConfig, kept_bytes, native_fault
from ..guests import SessionLimits
from ..settings import MIB, Settings
from .admission import Bounds

logger = logging.getLogger("alga_runner")

_WARM_SHARE = 8
"""An eighth of the process's memory may stay mapped for the next guests of modules."""

KEPT_PART = 0.5
"""Part of the process's memory that slots may keep after their guests, so that the rest is there for guests."""


def _slots(settings: Settings, max_memory_mb: int) -> int:
    """As many guests as the settings ask for, while what their slots keep has room in the process's memory."""
    room = int(max_memory_mb * MIB * KEPT_PART) // kept_bytes(settings.wasm_stack_bytes)
    return max(1, min(settings.max_guests, room))


def report_capacity(engine: Engine, bounds: Bounds, settings: Settings) -> None:
    """Log how many guests there is room for, and why no more; as a warning where more were asked for."""
    capacity, asked = engine.capacity, settings.max_guests
    why, slots = capacity.why, engine.config.max_guests
    if slots < asked:
        kept_mb = kept_bytes(settings.wasm_stack_bytes) / MIB
        why = (
            f"{asked} were asked for (max_guests), and half of max_process_memory_mb has room for {slots} slots, "
            f"each of which keeps up to {kept_mb:.1f} MiB; so {why}"
        )
    logger.log(
        logging.WARNING if capacity.reduced or slots < asked else logging.INFO,
        "Room for %s: %s.",
        bounds,
        why,
        extra={"action": "capacity"},
    )


def report_native(settings: Settings) -> None:
    """Warn of a native helper that was built and cannot be used."""
    if settings.native_engine == "auto" and (fault := native_fault()) is not None:
        logger.warning("%s %s", fault, fault.hint, extra={"action": "native_engine"})


def engine_config(settings: Settings, max_memory_mb: int) -> EngineConfig:
    """The engine of a process that may have ``max_memory_mb`` MiB."""
    return EngineConfig(
        max_guests=_slots(settings, max_memory_mb),
        max_memory_bytes=settings.max_memory_mb * MIB,
        max_table_elements=settings.max_table_elements,
        wasm_stack_bytes=settings.wasm_stack_bytes,
        tick_ms=settings.epoch_tick_ms,
        native=settings.native_engine,
        warm_modules=min(WARM_MODULES, max_memory_mb * MIB // _WARM_SHARE // WARM_MODULE_BYTES),
    )


def session_limits(settings: Settings) -> SessionLimits:
    """What one guest may do."""
    return SessionLimits(
        host_calls=settings.max_host_calls,
        system_calls=settings.max_system_calls,
        copied_bytes=settings.max_copied_bytes,
        request_bytes=settings.max_request_bytes,
        items=settings.max_items,
        body_bytes=settings.max_body_bytes,
        component_body_bytes=settings.max_component_body_bytes,
    )
