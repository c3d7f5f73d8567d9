from __future__ import annotations

from alga_runner.capabilities.gate import SCALAR_BYTES, weight


def test_a_string_weighs_its_length_and_itself() -> None:
    assert weight("abc", 10_000) == SCALAR_BYTES + 3


def test_keys_and_values_weigh() -> None:
    assert weight({"ab": [None, b"c"]}, 10_000) == 5 * SCALAR_BYTES + 3


def test_counting_stops_when_it_is_enough() -> None:
    assert weight([1] * 1_000, 10 * SCALAR_BYTES) == 11 * SCALAR_BYTES


def test_deep_values_do_not_exhaust_the_stack() -> None:
    value: object = None
    for _ in range(100_000):
        value = [value]

    assert weight(value, 10**9) == 100_001 * SCALAR_BYTES
