"""Which guests the memory guard ends, stops or leaves alone, by what each has."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import pytest

from alga_runner.engine import Budget
from alga_runner.errors import MemoryShortage, Overloaded
from alga_runner.execution.memory_guard import MIB, TAKES_EFFECT_LOOKS, MemoryGuard
from alga_runner.telemetry import Telemetry

TOTAL_MIB = 1_000


class FakeGuest:
    def __init__(self, mib: int) -> None:
        self.memory_bytes = mib * MIB
        self.stopped_growing = False

    def stop_growing(self) -> None:
        self.stopped_growing = True


class Holding(NamedTuple):
    held_bytes: int


class Process:
    """A process with guests; ``mib`` is the memory that it has."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.mib = 0
        self.budgets: dict[str, Budget] = {}
        self.guard = MemoryGuard(
            TOTAL_MIB * MIB, cast("Any", self.budgets.values()), telemetry, resident=lambda: self.mib * MIB
        )

    def add(self, name: str, tenant: str, mib: int, *, computed_s: float = 10.0) -> Budget:
        budget = Budget(owner=tenant)
        budget.guest = cast("Any", FakeGuest(mib))
        budget.used_s = computed_s
        self.budgets[name] = budget
        return budget

    def look(self, mib: int) -> list[str]:
        """The names of the guests that have been ended once the process has so much."""
        self.mib = mib
        self.guard.look()
        return [name for name, budget in self.budgets.items() if budget.stopped]

    def stopped_growing(self) -> list[str]:
        return [name for name, budget in self.budgets.items() if cast("Any", budget.guest).stopped_growing]


@pytest.fixture
def process() -> Iterator[Process]:
    telemetry = Telemetry(logging.getLogger("memory-guard-test"))
    yield Process(telemetry)
    telemetry.close()


def test_while_there_is_memory_a_tenant_may_have_any_part_of_it(process: Process) -> None:
    process.add("all", "loud", 800)

    assert process.look(849) == []
    assert process.stopped_growing() == []
    process.guard.require_room("loud")


def test_what_the_host_holds_for_a_guest_counts_as_its_own(process: Process) -> None:
    process.add("small", "loud", 100).holder = Holding(300 * MIB)
    process.add("large", "quiet", 200)

    assert process.look(900) == []
    assert process.stopped_growing() == ["small"]
    with pytest.raises(Overloaded, match="its share is 250 MiB"):
        process.guard.require_room("loud")
    assert process.look(TOTAL_MIB + 1) == ["small"]


def test_near_the_total_a_tenant_beyond_its_share_grows_no_more_and_starts_no_more(process: Process) -> None:
    process.add("large", "loud", 300)
    process.add("small", "quiet", 200)

    assert process.look(900) == []
    assert process.stopped_growing() == ["large"]
    process.guard.require_room("quiet")
    with pytest.raises(Overloaded, match="its share is 250 MiB"):
        process.guard.require_room("loud")


def test_once_there_is_memory_again_the_tenant_may_start_guests(process: Process) -> None:
    process.add("large", "loud", 300)
    process.look(900)
    process.look(800)

    process.guard.require_room("loud")


def test_above_the_total_the_largest_guests_of_the_tenant_with_the_most_end(process: Process) -> None:
    for name, mib in (("small", 100), ("largest", 300), ("large", 200)):
        process.add(name, "loud", mib)
    process.add("other", "quiet", 400)

    assert process.look(1_350) == ["largest", "large"]
    reason = process.budgets["largest"].reason
    assert isinstance(reason, MemoryShortage)
    assert "300 MiB" in str(reason)


def test_above_the_total_no_guest_is_started_for_anyone(process: Process) -> None:
    process.look(1_001)

    with pytest.raises(Overloaded, match="all may have 1000 MiB") as refused:
        process.guard.require_room("quiet")
    assert not refused.value.of_tenant


def test_what_was_ended_has_time_to_unwind_before_more_is(process: Process) -> None:
    for number in range(3):
        process.add(f"guest-{number}", "loud", 100)
    assert len(process.look(1_050)) == 1

    for _ in range(TAKES_EFFECT_LOOKS - 1):
        assert len(process.look(1_050)) == 1
    assert len(process.look(1_050)) == 2


def test_a_guest_that_hardly_computed_cannot_have_touched_its_memory(process: Process) -> None:
    process.add("reserved", "quiet", 4_000, computed_s=0.001)
    process.add("touched", "loud", 300)

    assert process.look(1_200) == ["touched"]


def test_a_guest_that_touched_nothing_is_never_ended(process: Process) -> None:
    process.add("waits", "quiet", 4_000, computed_s=0.0)

    assert process.look(2_000) == []
