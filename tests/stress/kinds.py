"""The kinds of executions of the storm: the limits each asks for, and the outcome it must have, by its nonce alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from alga_runner import Observation
from alga_runner.errors import (
    AlgaError,
    CpuLimit,
    DeadlineExceeded,
    GuestAbort,
    GuestExit,
    GuestTrap,
    OutOfBounds,
)

from . import guest


@dataclass(slots=True)
class Plan:
    """One execution: ``ending`` is what the guest does, ``cancel_after`` iterations of the loop it is cancelled.

    ``silent``: its host call is never answered, and once it has been made the execution is cancelled.
    ``iterations``: how long the answer of a host call takes, in iterations of the loop.
    """

    nonce: str
    ending: str
    expects: Callable[[Plan, Observation], str | None]
    limits: dict[str, int]
    cancel_after: int | None = None
    silent: bool = False
    iterations: int = 0

    @property
    def may_be_cancelled(self) -> bool:
        return self.cancel_after is not None or self.silent


Kind = Callable[[Random, str], Plan]


def _ok(random: Random, nonce: str) -> Plan:
    return Plan(nonce, guest.OK, _responds, {}, iterations=random.randrange(3))


def _trap(random: Random, nonce: str) -> Plan:
    ending = random.choice((guest.DIVIDES, guest.UNREACHABLE, guest.WILD, guest.ABORTS, guest.EXITS))
    return Plan(nonce, ending, _traps, {})


def _host_error(random: Random, nonce: str) -> Plan:
    return Plan(nonce, random.choice((guest.BREACHES, guest.BREACHES_LATER)), _breaches, {})


def _killed(_random: Random, nonce: str) -> Plan:
    return Plan(nonce, guest.OK, _unexpected, {}, silent=True)


def _cancelled(random: Random, nonce: str) -> Plan:
    ending, expects = random.choice(
        ((guest.SPINS, _unexpected), (guest.MOVES, _responds), (guest.OK, _responds), (guest.WILD, _traps))
    )
    return Plan(nonce, ending, expects, {}, cancel_after=random.randrange(40), iterations=random.randrange(3))


def _timeout(random: Random, nonce: str) -> Plan:
    return Plan(nonce, guest.SPINS, _too_late, {"timeout_ms": random.randrange(1, 4)})


def _cpu_limit(_random: Random, nonce: str) -> Plan:
    return Plan(nonce, guest.SPINS, _spent, {"cpu_ms": 1})


def _moved(random: Random, nonce: str) -> Plan:
    return Plan(nonce, guest.MOVES, _responds, {}, iterations=random.randrange(3))


KINDS: dict[str, Kind] = {
    "ok": _ok,
    "trap": _trap,
    "host_error": _host_error,
    "killed": _killed,
    "cancelled": _cancelled,
    "timeout": _timeout,
    "cpu_limit": _cpu_limit,
    "moved": _moved,
}


def _mixed(random: Random, nonce: str) -> Plan:
    return random.choice(tuple(KINDS.values()))(random, nonce)


ALL: dict[str, Kind] = {**KINDS, "mixed": _mixed}
"""Every kind by its name; ``mixed`` is one of the others at random."""


def _responds(plan: Plan, seen: Observation) -> str | None:
    return None if seen.response is not None else f"it ended with {_described(seen.error)}"


def _unexpected(_plan: Plan, seen: Observation) -> str | None:
    return f"it was not cancelled, and ended with {_described(seen.error)}"


_TRAP_CODES = {
    guest.DIVIDES: "integer_division_by_zero",
    guest.UNREACHABLE: "unreachable",
    guest.WILD: "memory_out_of_bounds",
}


def _traps(plan: Plan, seen: Observation) -> str | None:
    error, text = seen.error, guest.text_of(plan.nonce)
    if plan.ending == guest.ABORTS:
        return _is(error, GuestAbort, plan.nonce)
    if plan.ending == guest.EXITS:
        return _is(error, GuestExit, f"status {text}")
    code = error.trap_code if isinstance(error, GuestTrap) else None
    return (
        None
        if code == _TRAP_CODES[plan.ending]
        else f"not {_TRAP_CODES[plan.ending]}, but {_described(error)}"
    )


def _breaches(plan: Plan, seen: Observation) -> str | None:
    return _is(seen.error, OutOfBounds, f"offset {guest.text_of(plan.nonce) | 0x80000000} ")


def _too_late(plan: Plan, seen: Observation) -> str | None:
    return _is(seen.error, DeadlineExceeded, f"within {plan.limits['timeout_ms']} ms")


def _spent(plan: Plan, seen: Observation) -> str | None:
    return _is(seen.error, CpuLimit, f"{plan.limits['cpu_ms']} ms of CPU time")


def _is(error: AlgaError | None, expected: type[AlgaError], text: str) -> str | None:
    if isinstance(error, expected) and text in str(error):
        return None
    return f"not {expected.__name__} with {text!r}, but {_described(error)}"


def _described(error: AlgaError | None) -> str:
    return "a response" if error is None else f"{type(error).__name__}: {error}"
