"""Guests that fill all the memory they get and keep it, and another tenant's that take a few megabytes."""

from __future__ import annotations

from typing import ClassVar

import httpx

from . import executing
from .executing import MIB, guest, sleeping

_CALLERS = 40
_LARGE_MB, _SMALL_MB = 64, 4
_SLEEP_S = 2


def _grown(megabytes: int) -> str:
    """Grow by a megabyte and fill it, so many times, or until there is no more."""
    return f"""(local $left i32) (local $at i32) (local.set $left (i32.const {megabytes})) (block $end (loop $more
      (local.set $at (memory.grow (i32.const 16)))
      (br_if $end (i32.eq (local.get $at) (i32.const -1)))
      (memory.fill (i32.shl (local.get $at) (i32.const 16)) (i32.const 1) (i32.const {MIB}))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))"""


class Attacker(executing.ExecutingAttacker):
    """Each guest fills 64 MB, or what it gets, and sleeps with it."""

    finishes = True
    callers: ClassVar = {"memory": _CALLERS}

    def publish_first(self) -> None:
        """Publish the guest."""
        sleep, imports = sleeping(_SLEEP_S)
        self._hash = self.publish(guest(_grown(_LARGE_MB) + sleep, imports=imports))

    def request(self, resource: str) -> httpx.Request:
        """Another guest."""
        return self.execute(self._hash)


class Victim(executing.ExecutingVictim):
    """Each guest fills 4 MB, and fails without them."""

    def publish_first(self) -> None:
        """Publish the guest."""
        all_there = "(if (i32.ne (local.get $left) (i32.const 0)) (then unreachable))"
        self._hash = self.publish(guest(_grown(_SMALL_MB) + all_there))

    def request(self, resource: str) -> httpx.Request:
        """Another guest."""
        return self.execute(self._hash)
