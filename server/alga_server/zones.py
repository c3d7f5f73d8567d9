"""Which time zones a schedule may have: the IANA names of the ``tzdata`` package, the same on every machine.

Names are compared, never opened: no path, no ``localtime``, no ``posixrules`` of the machine comes through.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from .errors import FieldRefused

MAX_LENGTH = 64
DEFAULT = "UTC"

_NOT_ZONES = frozenset({"Factory", "localtime", "posixrules"})


def check_zone(value: str) -> str:
    """``value`` trimmed if it is the exact name of a zone, ``UTC`` if it is blank. Raises ``FieldRefused``."""
    name = value.strip()
    if not name:
        return DEFAULT
    if len(name) > MAX_LENGTH:
        raise FieldRefused("Timezone too long")
    if name not in _names():
        raise FieldRefused("Invalid timezone")
    return name


@cache
def _names() -> frozenset[str]:
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split()) - _NOT_ZONES
