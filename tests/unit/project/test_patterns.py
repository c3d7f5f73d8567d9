"""No regular expression takes more than linear time to fail, since the texts that it is matched with are tenants'.

One that does has two repetitions, one after the other, that can both match the same characters: with ``a*a*b`` every
way to divide the text between them is tried. Possessive ones (``a*+``) try one way.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import pytest

import alga_common
import alga_runner
import alga_server

_parser = importlib.import_module("re._parser")
_SMALL = 255
"""A repetition of no more than this is a constant."""

_OF_OPERATORS = {"alga_common.environment._SERVICE_LINK"}
"""Patterns of texts that no tenant gives: names of environment variables."""

_BACKTRACKING = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
_MEETS, _PASSES, _ENDS = "meets another one", "passes", "ends"

_ALL = frozenset(map(chr, range(256)))
_SETS = {
    "CATEGORY_DIGIT": frozenset(filter(str.isdigit, _ALL)),
    "CATEGORY_SPACE": frozenset(filter(str.isspace, _ALL)),
    "CATEGORY_WORD": frozenset(character for character in _ALL if character.isalnum() or character == "_"),
}


def characters(items: Iterable[tuple[Any, Any]]) -> frozenset[str]:
    """The characters, of the first 256, that occur in texts that ``items`` match."""
    return frozenset().union(*(_characters(str(kind), value) for kind, value in items))


def _characters(kind: str, value: Any) -> frozenset[str]:
    match kind:
        case "LITERAL":
            known = frozenset(chr(value))
        case "NOT_LITERAL":
            known = _ALL - {chr(value)}
        case "ANY":
            known = _ALL
        case "RANGE":
            known = frozenset(map(chr, range(value[0], min(value[1], 255) + 1)))
        case "CATEGORY":
            name = str(value)
            known = _SETS[name.replace("_NOT_", "_")]
            known = _ALL - known if "_NOT_" in name else known
        case "IN":
            known = characters(value)
            known = _ALL - known if str(value[0][0]) == "NEGATE" else known
        case "BRANCH":
            known = frozenset().union(*map(characters, value[1]))
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT" | "SUBPATTERN":
            known = characters(value[-1])
        case "ATOMIC_GROUP":
            known = characters(value)
        case _:
            known = frozenset()
    return known


def ambiguous(items: list[tuple[Any, Any]]) -> bool:
    """Whether two long repetitions in ``items`` can match the same characters, one after the other."""
    flat = list(_flat(items))
    for position, (kind, value) in enumerate(flat):
        if kind == "BRANCH" and any(ambiguous(list(branch)) for branch in value[1]):
            return True
        if kind in _BACKTRACKING:
            is_long = value[1] > _SMALL
            if ambiguous(list(value[2]) * (1 + is_long)):
                return True
            if is_long and _after(characters(value[2]), flat[position + 1 :]) is _MEETS:
                return True
    return False


def _flat(items: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """``items`` with groups opened."""
    for kind, value in items:
        if str(kind) == "SUBPATTERN":
            yield from _flat(value[-1])
        else:
            yield str(kind), value


def _after(own: frozenset[str], items: Iterable[tuple[Any, Any]]) -> str:
    """How a repetition of the characters ``own`` goes on with ``items``."""
    for kind, value in _flat(items):
        if kind.startswith("A") and kind != "ANY":  # an assertion, or a place
            continue
        if kind == "BRANCH":
            outcomes = {_after(own, branch) for branch in value[1]}
            outcome = next(possible for possible in (_MEETS, _PASSES, _ENDS) if possible in outcomes)
        elif kind in _BACKTRACKING:
            outcome = _after(own, value[2])
            if outcome is _PASSES and value[1] > _SMALL:
                return _MEETS
            if outcome is _ENDS and value[0] == 0:
                continue
        else:
            outcome = _PASSES if own & _characters(kind, value) else _ENDS
        if outcome is not _PASSES:
            return outcome
    return _PASSES


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for listed in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not listed.name.endswith("__main__"):
            yield importlib.import_module(listed.name)


@pytest.mark.parametrize("package", [alga_common, alga_runner, alga_server])
def test_no_pattern_is_ambiguous(package: ModuleType) -> None:
    patterns = {
        f"{module.__name__}.{name}": value.pattern
        for module in modules(package)
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    }

    assert patterns
    assert {
        name for name, pattern in patterns.items() if ambiguous(list(_parser.parse(pattern)))
    } <= _OF_OPERATORS


@pytest.mark.parametrize(
    "pattern", ["a*a*b", r":[ \t]*([\t ]*)", r"(\w*).*\)", "(a+)+", "a*x?[ab]+", r"(?:\s*,?\s*)*"]
)
def test_an_ambiguous_pattern_is_recognised(pattern: str) -> None:
    assert ambiguous(list(_parser.parse(pattern)))


@pytest.mark.parametrize(
    "pattern", ["a*b*c", "a*ba*", r"(?:[^\"\\]|\\.)*\"", r"a*+a*b", r"(?:\.[a-z]{0,61})*", r"a+(?:/a+)*"]
)
def test_a_plain_one_is_not(pattern: str) -> None:
    assert not ambiguous(list(_parser.parse(pattern)))
