"""Ids from outside: a malformed one is simply unknown."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

NOBODY = ""
"""An id that nothing has."""


def known_form(text: str) -> str:
    """``text`` as ids are stored, or ``NOBODY`` if it is not a UUID."""
    lowered = text.strip().lower()
    return lowered if _UUID.fullmatch(lowered) else NOBODY
