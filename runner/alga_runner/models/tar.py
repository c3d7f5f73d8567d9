"""Walks over the tar of an archive: bounded, and in time that grows with its size alone.

``tarfile`` only decodes single headers: its own walk follows sparse maps, recurses over chained long names and, in some
releases, loops on negative sizes.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from alga_common.text import cut

from ..errors import BundleInvalid

_BLOCK = tarfile.BLOCKSIZE
_SHOWN = 200
"""Characters of a path that an error quotes."""
_RECORD_BYTES = 64 * 1024
"""A record about the next entry (its long name, its attributes) is not larger than this."""
_RECORD_ATTRIBUTES = 64
_LENGTH_DIGITS = 6
_REST_BYTES = 64 * 1024
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_PAX, _PAX_GLOBAL = tarfile.XHDTYPE, tarfile.XGLTYPE
_SPARSE = tarfile.GNUTYPE_SPARSE
_SPARSE_GOES_ON, _MAP_GOES_ON = 482, 504
"""Where GNU's sparse header, and each block that extends its map, has whether another block follows."""


Read = Callable[[int], bytes]
"""Returns the next bytes of a tar, that many or, at its end, fewer."""


class Member(NamedTuple):
    """One entry. A directory, and a record about entries, has neither ``content`` nor ``fault``.

    ``fault`` is why it is no file of a bundle, as the end of a sentence.
    """

    path: str
    content: bytes | None = None
    fault: str | None = None


def members(read: Read) -> Iterator[Member]:
    """Each entry of the tar that ``read`` gives.

    Raises ``BundleInvalid`` unless it is one whole tar and nothing else.
    """
    name: str | None = None
    while any(block := read(_BLOCK)):
        entry = _header(block)
        if entry.type == _SPARSE:
            _skip_map(block, read)
        content = read(max(0, entry.size))
        if len(content) != entry.size:
            raise BundleInvalid(f"The bundle's entry {shown(entry.name)} runs past the end of the archive.")
        read(-entry.size % _BLOCK)
        if entry.type in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            name = _named(entry, content) or name
            yield Member(entry.name)
            continue
        path, name = name or entry.name, None
        if entry.isdir():
            yield Member(path)
        elif entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield Member(path, content)
        else:
            yield Member(path, fault="is a link, a device or sparse, not a regular file")
    if name is not None or not block:
        raise BundleInvalid("The bundle's tar has no end: it is truncated.")
    while rest := read(_REST_BYTES):
        if rest.count(0) != len(rest):
            raise BundleInvalid("The bundle has bytes after the end of its tar.")


def shown(path: str) -> str:
    """``path`` as an error quotes it."""
    return repr(cut(path, _SHOWN))


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError) as error:
        raise BundleInvalid(f"The bundle's zstd does not hold a tar archive: {error}.") from error


def _skip_map(header: bytes, read: Read) -> None:
    """Read to where the content of GNU's sparse entry starts: after the blocks of its map."""
    goes_on = header[_SPARSE_GOES_ON]
    while goes_on and len(block := read(_BLOCK)) == _BLOCK:
        goes_on = block[_MAP_GOES_ON]


def _named(record: tarfile.TarInfo, content: bytes) -> str | None:
    """The path that ``record`` gives the next entry, if it gives one."""
    if len(content) > _RECORD_BYTES:
        raise BundleInvalid(
            f"The bundle's entry {shown(record.name)} is a record of more than {_RECORD_BYTES} bytes."
        )
    try:
        if record.type == _LONG_NAME:
            return content.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if record.type in (_PAX, _PAX_GLOBAL):
            return _pax_path(record, content)
    except ValueError as error:
        raise BundleInvalid(
            f"The bundle's entry {shown(record.name)} is a broken record: {error}."
        ) from error
    return None


def _pax_path(record: tarfile.TarInfo, content: bytes) -> str | None:
    """The ``path`` among the attributes; those that change what the entry is are refused."""
    path: str | None = None
    for key, value in pax_attributes(content):
        if key == b"size" or key.startswith(b"GNU.sparse") or (key == b"path" and record.type == _PAX_GLOBAL):
            raise ValueError(f"{key.decode()} is not allowed")
        if key == b"path":
            path = value.decode("utf-8", "surrogateescape")
    return path


def pax_attributes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each line ``<length> <key>=<value>\\n`` of a pax record. Raises ``ValueError``.

    Each byte is read a bounded number of times, so the shortest lines cost no more than others.
    """
    position = count = 0
    while position < len(content):
        space = content.find(b" ", position, position + _LENGTH_DIGITS)
        digits = content[position:space] if space >= 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        if not space < end <= len(content) or content[end - 1 : end] != b"\n":
            raise ValueError("a length does not fit")
        count += 1
        if count > _RECORD_ATTRIBUTES:
            raise ValueError(f"it has more than {_RECORD_ATTRIBUTES} attributes")
        key, _, value = content[space + 1 : end - 1].partition(b"=")
        position = end
        yield key, value
