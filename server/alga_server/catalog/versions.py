"""The versions of an extension, and which of them is the newest: SemVer's precedence decides, not when it came.

Of the versions without a pre-release the one of the highest precedence is the newest; of pre-releases alone, likewise
(https://semver.org/spec/v2.0.0.html, 11). Of versions that differ in build metadata alone, the last published is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from ..errors import NotFound
from ..storage import tables

_NUMBER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([^+]*))?(?:\+.*)?", re.ASCII)

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an extension; it never changes."""

    version_id: str
    version: str
    content_hash: str
    capabilities: Sequence[str]
    created_at: datetime


def precedence(number: str) -> Precedence:
    """Return what orders version numbers as SemVer does: ``1.0.0-rc.1``, ``1.0.0``, ``1.10.0``."""
    parts = _NUMBER.fullmatch(number)
    if parts is None:
        raise ValueError(f"{number!r} is not a version's number")
    major, minor, patch, pre_release = parts.groups()
    identifiers = [] if pre_release is None else pre_release.split(".")
    return (int(major), int(minor), int(patch), pre_release is None, tuple(map(_identifier, identifiers)))


def newest(versions: Sequence[Version]) -> Version:
    """Return the newest of ``versions``, which are in the order of their publishing; at least one."""
    # Reversed, since max() returns the first of equals.
    return max(reversed(versions), key=lambda version: _rank(version.version))


def next_patch(line: str, taken: Sequence[str]) -> str:
    """Return the first number of ``line``, ``"1.4."``, after all of it that is taken: ``1.4.0`` if none is."""
    highest = max((precedence(number) for number in taken if number.startswith(line)), default=None)
    if highest is None:
        return f"{line}0"
    _, _, patch, is_release, _ = highest
    return f"{line}{patch + 1 if is_release else patch}"


def versions_of(connection: Connection, extension_id: str) -> list[Version]:
    """Return every version of the extension, in the order of their publishing."""
    table = tables.version.c
    query = (
        select(table.id, table.version, table.content_hash, table.capabilities, table.created_at)
        .where(table.extension_id == extension_id)
        .order_by(table.ordinal)
    )
    return [Version(*row) for row in connection.execute(query)]


def require(connection: Connection, extension_id: str, version_id: str | None) -> Version:
    """Return that version of the extension, or the newest for ``None``. Raises ``NotFound``."""
    versions = versions_of(connection, extension_id)
    if version_id is None and versions:
        return newest(versions)
    for version in versions:
        if version.version_id == version_id:
            return version
    raise NotFound("Extension not found" if version_id is None else "Extension version not found")


def _rank(number: str) -> tuple[bool, Precedence]:
    order = precedence(number)
    return order[3], order


def _identifier(text: str) -> tuple[bool, int, str]:
    """Return what orders a pre-release's identifiers: numbers before texts."""
    return (False, int(text), "") if text.isdigit() else (True, 0, text)
