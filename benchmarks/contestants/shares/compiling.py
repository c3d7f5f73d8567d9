"""Modules that take the compiler long, each a new one, and another tenant's small ones, new as well."""

from __future__ import annotations

from typing import ClassVar

import httpx

from . import executing
from .executing import another, guest

_CALLERS = 8
_VALUES, _LOOPS, _FUNCTIONS = 400, 150, 40
"""Each function has so many loops that pass on so many values, and takes the compiler 150 ms."""


class Attacker(executing.ExecutingAttacker):
    """Every module takes the compiler seconds."""

    callers: ClassVar = {"compile": _CALLERS}

    def publish_first(self) -> None:
        """Make the module that all others are made of."""
        self._slow = guest(exports=_slow_functions())

    def request(self, resource: str) -> httpx.Request:
        """Another module."""
        return self.execute(self.publish(another(self._slow, self.number())))


class Victim(executing.ExecutingVictim):
    """Every module is small."""

    def publish_first(self) -> None:
        """Make the module that all others are made of."""
        self._small = guest()

    def request(self, resource: str) -> httpx.Request:
        """Another module."""
        return self.execute(self.publish(another(self._small, self.number())))


def _slow_functions() -> str:
    values = " i32" * _VALUES
    loops = "(loop (type $passes) (br_if 0 (i32.const 0)))" * _LOOPS
    function = f"(func {'(i32.const 0)' * _VALUES} {loops} {'(drop)' * _VALUES})"
    return f"(type $passes (func (param{values}) (result{values}))) {function * _FUNCTIONS}"
