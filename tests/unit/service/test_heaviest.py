"""Who has the most."""

from __future__ import annotations

import random

import pytest

from alga_runner.service.reply_cache import Heaviest


def test_the_first_is_the_one_with_the_most() -> None:
    heaviest: Heaviest[str] = Heaviest()
    for holder, amount in (("a", 1), ("b", 3), ("c", 2)):
        heaviest.set(holder, amount)

    assert heaviest.first() == "b"


def test_one_that_has_nothing_is_forgotten() -> None:
    heaviest: Heaviest[str] = Heaviest()
    heaviest.set("a", 1)
    heaviest.set("a", 0)

    with pytest.raises(IndexError):
        heaviest.first()


def test_it_agrees_with_a_search_whatever_changes() -> None:
    chance = random.Random(1)
    heaviest: Heaviest[int] = Heaviest()
    has: dict[int, int] = {}
    for _ in range(3_000):
        holder, amount = chance.randrange(20), chance.randrange(6)
        heaviest.set(holder, amount)
        has[holder] = amount
        most = max(has.values())
        if most:
            assert heaviest.first() == min(each for each, amount in has.items() if amount == most)


def test_what_is_no_longer_true_does_not_pile_up() -> None:
    heaviest: Heaviest[str] = Heaviest()
    for amount in range(1, 10_000):
        heaviest.set("a", amount)

    assert len(heaviest._heap) < 100
