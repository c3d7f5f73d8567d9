"""The bundle's archive: a tar inside zstd (alga-contract 3), bytes in and bytes out.

An archive is untrusted. The walk over the tar is bounded and ours, ``tarfile`` only decodes single headers:
its own walk follows sparse maps, recurses over chained long names and, in some releases, loops on negative sizes.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping

import zstandard

from alga_common.bundle_layout import MAX_FILES, MAX_UNPACKED_BYTES, NAME_HINT, path_fault, same_name
from alga_common.text import cut

from ..errors import BundleInvalid

_LEVEL = 12
_BLOCK = tarfile.BLOCKSIZE
_SLICE = 512
"""Compressed bytes decoded at a time: zstd makes at most 128 KiB of 4 bytes, so 16 MiB in one step."""
_WINDOW = 1 << 27
"""Memory a frame may ask for: what the zstd tool accepts by default."""
_SHOWN = 200
"""Characters of a path that an error quotes."""
_RECORD_BYTES = 64 * 1024
"""A record about the next entry (its long name, its attributes) is not larger than this."""
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_PAX, _PAX_GLOBAL = tarfile.XHDTYPE, tarfile.XGLTYPE


def pack(files: Mapping[str, bytes]) -> bytes:
    """``files`` (path to content) as an archive; the same files give the same bytes.

    Raises ``BundleInvalid`` for a path that ``unpack`` would refuse.
    """
    _check_same_names(files)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for path in sorted(files):
            if entry_path(path) != path:
                raise BundleInvalid(f"The path {_shown(path)} is not allowed in a bundle.", hint=NAME_HINT)
            entry = tarfile.TarInfo(path)
            entry.size = len(files[path])
            tar.addfile(entry, io.BytesIO(files[path]))
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(buffer.getvalue())


def unpack(
    data: bytes, *, max_bytes: int = MAX_UNPACKED_BYTES, max_files: int = MAX_FILES
) -> dict[str, bytes]:
    """The files of an archive, path to content; directories and hidden files are ignored (alga-contract 3).

    Archives made on a desktop carry the likes of ``.DS_Store``. Raises ``BundleInvalid`` for anything else than a whole
    archive of regular files with plain relative paths, for a path that occurs twice, in one or in two of Unicode's
    normal forms, and past ``max_bytes`` of tar or ``max_files`` members.
    """
    files: dict[str, bytes] = {}
    for members, (raw_path, content) in enumerate(_members(_decompress(data, max_bytes)), start=1):
        if members > max_files:
            raise BundleInvalid(f"The bundle has more than {max_files} entries.")
        if content is None or _is_hidden(raw_path):
            continue
        path = entry_path(raw_path)
        if path in files:
            raise BundleInvalid(f"The bundle's entry {_shown(path)} is in the archive twice.")
        files[path] = content
    _check_same_names(files)
    return files


def entry_path(raw: str) -> str:
    """``raw`` without its leading ``./``. Raises ``BundleInvalid`` unless that can name a file (``path_fault``)."""
    path = raw
    while path.startswith("./"):
        path = path[2:]
    if (fault := path_fault(path)) is not None:
        raise BundleInvalid(f"The bundle's entry {_shown(raw)} {fault}.", hint=NAME_HINT)
    return path


def _shown(path: str) -> str:
    return repr(cut(path, _SHOWN))


def _check_same_names(paths: Iterable[str]) -> None:
    if (doubled := same_name(paths)) is not None:
        one, other = (ascii(cut(path, _SHOWN)) for path in doubled)
        raise BundleInvalid(
            f"The bundle's entries {one} and {other} are one name in two of Unicode's normal forms.",
            hint="Keep one of them.",
        )


def _is_hidden(raw: str) -> bool:
    """Whether ``raw`` is a plain path but for a segment that starts with a dot."""
    segments = raw.removeprefix("./").split("/")
    climbs = any(segment in {"", ".", ".."} for segment in segments)
    return not climbs and any(segment.startswith(".") for segment in segments)


def _decompress(data: bytes, max_bytes: int) -> bytes:
    """The concatenated frames of ``data``, never holding much more than ``max_bytes`` of them."""
    if not data:
        raise BundleInvalid("The bundle is empty.", hint="Pack it again.")
    tar = bytearray()
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    frame = decompressor.decompressobj()
    position = 0
    try:
        while position < len(data):
            if frame.eof:
                frame = decompressor.decompressobj()
            piece = data[position : position + _SLICE]
            tar += frame.decompress(piece)
            position += len(piece) - len(frame.unused_data)
            if len(tar) > max_bytes:
                raise BundleInvalid(f"The bundle unpacks to more than {max_bytes} bytes.")
    except zstandard.ZstdError as error:
        raise BundleInvalid(f"The bundle is not zstd at byte {position}: {error}.") from error
    if not frame.eof:
        raise BundleInvalid("The bundle ends in the middle of its zstd frame: it is truncated.")
    return bytes(tar)


def _members(tar: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Path and content of each file and, with ``None`` for content, of each directory and record about entries."""
    position = 0
    name: str | None = None
    while any(block := tar[position : position + _BLOCK]):
        entry = _header(block)
        start = position + _BLOCK
        end = start + entry.size
        if entry.size < 0 or end > len(tar):
            raise BundleInvalid(f"The bundle's entry {_shown(entry.name)} runs past the end of the archive.")
        content = tar[start:end]
        position = start + -(-entry.size // _BLOCK) * _BLOCK
        if entry.type in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            name = _named(entry, content) or name
            yield entry.name, None
        elif entry.isdir():
            name = None
            yield entry.name, None
        elif entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield name or entry.name, content
            name = None
        else:
            raise BundleInvalid(
                f"The bundle's entry {_shown(name or entry.name)} is a link, a device or sparse, not a regular file."
            )
    if name is not None or position >= len(tar):
        raise BundleInvalid("The bundle's tar has no end: it is truncated.")
    if tar.count(0, position) != len(tar) - position:
        raise BundleInvalid("The bundle has bytes after the end of its tar.")


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError) as error:
        raise BundleInvalid(f"The bundle's zstd does not hold a tar archive: {error}.") from error


def _named(record: tarfile.TarInfo, content: bytes) -> str | None:
    """The path that ``record`` gives the next entry, if it gives one."""
    if len(content) > _RECORD_BYTES:
        raise BundleInvalid(
            f"The bundle's entry {_shown(record.name)} is a record of more than {_RECORD_BYTES} bytes."
        )
    try:
        if record.type == _LONG_NAME:
            return content.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if record.type in (_PAX, _PAX_GLOBAL):
            return _pax_path(record, content)
    except ValueError as error:
        raise BundleInvalid(
            f"The bundle's entry {_shown(record.name)} is a broken record: {error}."
        ) from error
    return None


def _pax_path(record: tarfile.TarInfo, content: bytes) -> str | None:
    """The ``path`` among the records ``<length> <key>=<value>\\n``; those that change what the entry is are refused."""
    path: str | None = None
    while content:
        digits = content.partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        line = content[len(digits) + 1 : length]
        if length > len(content) or not line.endswith(b"\n"):
            raise ValueError("a length does not fit")
        key, _, value = line[:-1].partition(b"=")
        content = content[length:]
        if key == b"size" or key.startswith(b"GNU.sparse") or (key == b"path" and record.type == _PAX_GLOBAL):
            raise ValueError(f"{key.decode()} is not allowed")
        if key == b"path":
            path = value.decode("utf-8", "surrogateescape")
    return path
