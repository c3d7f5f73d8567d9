"""Modules of 9,900 long names, more than a runner keeps loaded, and another tenant's small one, which it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx

from . import executing
from .executing import another, guest

_CALLERS = 3
_NAMES, _NAME_BYTES = 9_900, 200
_MODULES = 20


class Attacker(executing.ExecutingAttacker):
    """Calls one module after the other."""

    finishes = True
    callers: ClassVar = {"programs": _CALLERS}

    def publish_first(self) -> None:
        """Publish the modules."""
        exports = "".join(f'(export "{number:0{_NAME_BYTES}}" (func $f))' for number in range(_NAMES))
        wasm = guest(exports=f"(func $f) {exports}")
        self._hashes = [self.publish(another(wasm, number)) for number in range(_MODULES)]

    async def start(self, order: Mapping[str, Any]) -> None:
        """Publish the modules, and have each compiled."""
        await super().start(order)
        for hash_ in self._hashes:
            (await self.client.send(self.execute(hash_))).raise_for_status()

    def request(self, resource: str) -> httpx.Request:
        """The next module."""
        return self.execute(self._hashes[self.number() % _MODULES])


class Victim(executing.ExecutingVictim):
    """Calls the same small module."""

    def publish_first(self) -> None:
        """Publish it."""
        self._hash = self.publish(guest())

    def request(self, resource: str) -> httpx.Request:
        """Once more."""
        return self.execute(self._hash)
