"""Pythons in which guests would crash are refused with a sentence."""

from __future__ import annotations

import pytest

from alga_runner.engine.check.interpreter import require_interpreter
from alga_runner.errors import EngineUnavailable


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 13, 9)])
def test_the_supported_ones_pass(version: tuple[int, ...]) -> None:
    require_interpreter(version, name="cpython", free_threaded=False)


@pytest.mark.parametrize(
    ("version", "others", "sentence"),
    [
        ((3, 14, 0), {}, "does not run on Python 3.14.0: 3.14.0 takes a guest's own stack for an overflow"),
        ((3, 15, 2), {}, "does not run on Python 3.15.2"),
        ((3, 10, 1), {}, "does not run on Python 3.10.1: it is too old"),
        ((3, 13, 0), {"free_threaded": True}, "without the GIL"),
        ((3, 11, 0), {"name": "pypy"}, "needs CPython; this is pypy"),
    ],
)
def test_others_are_refused(version: tuple[int, ...], others: dict[str, object], sentence: str) -> None:
    given = {"name": "cpython", "free_threaded": False} | others
    with pytest.raises(EngineUnavailable, match=sentence) as caught:
        require_interpreter(version, **given)

    assert caught.value.hint == "Run on CPython 3.11, 3.12 or 3.13."
