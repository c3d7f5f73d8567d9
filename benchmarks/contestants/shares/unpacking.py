"""Archives of a few kilobytes that unpack to all that is allowed, and another tenant's small ones, always new."""

from __future__ import annotations

from typing import ClassVar

import httpx

from . import executing
from .executing import MIB, guest

_CALLERS = 20
_UNPACKED_BYTES = 31 * MIB


class Attacker(executing.ExecutingAttacker):
    """Every call unpacks an archive of 31 MB of blanks, as another extension."""

    finishes = True
    callers: ClassVar = {"unpacking": _CALLERS}

    def publish_first(self) -> None:
        """Publish the archive."""
        self._hash = self.publish(guest(), b" " * _UNPACKED_BYTES)

    def request(self, resource: str) -> httpx.Request:
        """Another extension."""
        extension = f"ext-{self.number()}"
        self.publish_as(self._hash, extension)
        return self.execute(self._hash, extension)


class Victim(executing.ExecutingVictim):
    """Every call unpacks a small archive, as another extension."""

    def publish_first(self) -> None:
        """Publish the archive."""
        self._hash = self.publish(guest())

    def request(self, resource: str) -> httpx.Request:
        """Another extension."""
        extension = f"ext-{self.number()}"
        self.publish_as(self._hash, extension)
        return self.execute(self._hash, extension)
