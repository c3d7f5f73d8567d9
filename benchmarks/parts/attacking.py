"""Rounds of a victim's calls, without an attack and with it, in turns, and the results of them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..contestants.shares.sides import QUIET
from ..figures import Result, Spread
from ..part import Effort
from ..processes import Batch, Child

SHARES = ("p50", "p99")
_ROUNDS = 5
_SECONDS = 3.0
_BEGINNING_S = 1.0
"""How long an attack lasts before the other one's calls count."""


Round = tuple[Batch, Batch, Batch]
"""The victim's calls without the attack and with it, and what the attack came to."""


def keys(resource: str) -> tuple[str, ...]:
    """The ratios of a resource."""
    return tuple(f"shares.{resource}_{share}_ratio" for share in SHARES)


def rounds_of(effort: Effort) -> int:
    """How many rounds there are."""
    return effort.size(_ROUNDS, 1)


class Sides:
    """The processes of an attacker and a victim, both on the core that makes load."""

    def __init__(self, module: str, effort: Effort, *, seconds: float = _SECONDS, **common: Any) -> None:
        """``seconds`` is how long the victim's calls of a round last."""
        self._module, self._effort, self._common = module, effort, common
        self._seconds = effort.size(seconds, 0.1)
        self._stack = ExitStack()

    def __enter__(self) -> Sides:
        self._attacker, self._victim = (
            self._stack.enter_context(
                Child(f"benchmarks.contestants.shares.{self._module}:{side}", self._effort.load_core)
            )
            for side in ("Attacker", "Victim")
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def round(self, resource: str) -> Round:
        """Quiet, then loud."""
        (quiet, _), (loud, attack) = (self._round(resource, kind) for kind in (QUIET, resource))
        return quiet, loud, attack

    def _round(self, resource: str, attack: str) -> tuple[Batch, Batch]:
        seconds = self._seconds
        self._attacker.order(attack=attack, seconds=_BEGINNING_S + seconds, **self._common)
        calls = self._victim.ask(resource=resource, after=_BEGINNING_S, seconds=seconds, **self._common)
        return calls, self._attacker.answer()


def ratios(resource: str, rounds: list[Round]) -> list[Result]:
    """The ratios of neighbouring rounds, one with the attack and one without."""
    attacks: dict[str, Spread | float] = {
        f"{resource}_attacks_{end}": sum(attack.counts[end] for _, _, attack in rounds)
        for end in ("answered", "refused")
    }
    return [_ratio(resource, share, rounds, attacks if share == SHARES[0] else {}) for share in SHARES]


def _ratio(resource: str, share: str, rounds: list[Round], attacks: dict[str, Spread | float]) -> Result:
    quiet, loud = ([calls[side].counts[f"{share}_ms"] for calls in rounds] for side in (0, 1))
    counts = {"calls": sum(calls[0].done + calls[1].done for calls in rounds)}
    figures: dict[str, Spread | float] = {
        f"{resource}_quiet_{share}_ms": Spread.of(quiet),
        f"{resource}_loud_{share}_ms": Spread.of(loud),
        **attacks,
    }
    return Result.ratio(f"shares.{resource}_{share}_ratio", loud, quiet, counts=counts, figures=figures)
