"""How many guests may be alive in this process: as many as the settings ask for and the kernel allows.

wasmtime ends the process where it cannot reserve its pool, and fails a guest where the kernel has no memory map left
for it. So both limits are checked before an engine is made.
"""

from __future__ import annotations

import mmap
import resource
from dataclasses import dataclass
from pathlib import Path

from ...errors import EngineUnavailable

MAPS_PER_SLOT = 2
"""Memory maps that a slot of the pool takes from the start: a stack, and the page that guards it."""

MAPS_PER_GUEST = 4
"""Memory maps that a slot takes in addition, at most, from its first guest on.

The used part of a memory splits its range, and its static data split the used part.
"""

MAPS_PER_COMPONENT = 12
"""Memory maps that a component takes, at most, while it runs: a stack and its guard, and five for each of two memories.

A slot for a module's guest keeps its maps while a component runs in place of that guest.
"""

LEAST_COMPONENTS = 80
"""Components that there is room for, or as many as guests, before there is room for more guests."""

MAPS_PER_MODULE = 3
"""Memory maps that the code of a loaded module takes."""

RESERVED_MODULES = 1_000
MOST_MODULES = 10_000
"""Modules that there is room for before there is room for guests; and in the maps that guests leave, at most."""

WARM_MODULES = 1_500
"""Modules that have two memories mapped for their next guests, where there are maps and memory for them; 300 KiB of
each stay in memory. Twice as many have one each.

A guest of any other module has its memory mapped anew, which takes half as long as the rest of a short execution; and
where more modules take turns than have a memory, all do.
"""

_MEMORIES_PER_GUEST = 3
"""Memories of the pool, at most, for each guest: a process with few guests may have little address space."""

WARM_MODULE_BYTES = 300 * 1024

RESERVED_MAPS = 500 + RESERVED_MODULES * MAPS_PER_MODULE
"""Memory maps left for the rest of the process: the code of modules, threads, and the pool of components, which has
sixteen slots."""

_MEMORY_RESERVED_BYTES = (1 << 32) + (32 << 20)
"""Address space of one guest's memory: all that 32 bits reach, and a guard, so that code needs no bounds checks."""

_MAX_MAP_COUNT = Path("/proc/sys/vm/max_map_count")
_MAPS = Path("/proc/self/maps")
_NO_RESERVE = 0x4000
"""``MAP_NORESERVE``, which ``mmap`` names in newer Pythons only."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many ``guests`` fit, how many of them may be ``components``, and ``why``, in a sentence.

    ``modules`` may be loaded, and the pool has ``memories``.
    """

    guests: int
    components: int
    why: str
    reduced: bool = False
    """The kernel allows fewer than were asked for, or not as many components."""
    modules: int = RESERVED_MODULES
    memories: int = 0


@dataclass(frozen=True, slots=True)
class Maps:
    """Memory maps: how many the kernel allows the process, and how many it has."""

    allowed: int
    taken: int


def read_maps() -> Maps | None:
    """The process's memory maps now; ``None`` where the kernel does not show them."""
    try:
        allowed = int(_MAX_MAP_COUNT.read_text())
        with _MAPS.open("rb") as listed:
            return Maps(allowed, sum(1 for _ in listed))
    except (OSError, ValueError):
        return None


def capacity(max_guests: int, maps: Maps | None, warm_modules: int = 0) -> Capacity:
    """The room for ``max_guests`` guests within ``maps``, and for memories of ``warm_modules``.

    Raises ``EngineUnavailable`` when there is room for none.
    """
    if maps is None:
        return Capacity(
            max_guests,
            max_guests,
            f"max_guests is {max_guests}; the kernel does not show how many memory maps it allows",
            memories=max_guests,
        )
    free = maps.allowed - maps.taken - RESERVED_MAPS
    maps_per_slot = MAPS_PER_SLOT + MAPS_PER_GUEST
    fit = free // (maps_per_slot + MAPS_PER_COMPONENT)
    if fit > LEAST_COMPONENTS:
        fit = (free - LEAST_COMPONENTS * MAPS_PER_COMPONENT) // maps_per_slot
    why = (
        f"max_guests is {max_guests}; of the {maps.allowed} memory maps that the kernel allows (vm.max_map_count),"
        f" {maps.taken} are taken, {RESERVED_MAPS} are kept for the rest, and a guest takes {maps_per_slot}"
    )
    if fit < 1:
        raise EngineUnavailable(
            f"There is no room for a guest: {why}.",
            hint="Raise vm.max_map_count with sysctl, or use fewer engines in one process.",
        )
    guests = min(max_guests, fit)
    components = min(guests, (free - guests * maps_per_slot) // MAPS_PER_COMPONENT)
    why += f", a component {MAPS_PER_COMPONENT} more, so that {components} may be components"
    left = free - guests * maps_per_slot - components * MAPS_PER_COMPONENT
    more = min(_MEMORIES_PER_GUEST * guests, 2 * warm_modules) - guests
    warm = max(0, min(more, left // 2 // MAPS_PER_GUEST))
    modules = min(MOST_MODULES, RESERVED_MODULES + (left - warm * MAPS_PER_GUEST) // MAPS_PER_MODULE)
    return Capacity(
        guests, components, why, reduced=components < max_guests, modules=modules, memories=guests + warm
    )


def require_address_space(guests: int, *, memories: int, bytes_each: int) -> None:
    """Raise ``EngineUnavailable`` unless the system would reserve address space for ``guests`` with ``memories``.

    ``bytes_each`` is the address space that a guest takes in addition to its memories.
    """
    size = memories * _MEMORY_RESERVED_BYTES + guests * bytes_each
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE, prot=0).close()
    except (OSError, ValueError, OverflowError):
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        reason = (
            "The system does not give it"
            if limit == resource.RLIM_INFINITY
            else f"The process may have {_shown(limit)} in all (ulimit -v)"
        )
        raise EngineUnavailable(
            f"Room for {guests} guests takes {_shown(size)} of address space, which is no memory. {reason}.",
            hint="Let the process have more address space, or lower max_guests.",
        ) from None


def _shown(size: int) -> str:
    return f"{size / (1 << 40):.1f} TiB" if size >= 1 << 40 else f"{size / (1 << 30):.1f} GiB"
