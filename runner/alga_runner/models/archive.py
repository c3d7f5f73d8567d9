"""The bundle's archive: a tar inside zstd (alga-contract 3), bytes in and bytes out.

An archive is untrusted: what it unpacks to is bounded in bytes, in entries and against its own size.
"""

from __future__ import annotations

import io
import re
import tarfile
import unicodedata
from collections.abc import Callable, Mapping

import zstandard

from alga_common.bundle_layout import (
    MAX_FILES,
    MAX_UNPACKED_BYTES,
    NAME_HINT,
    path_fault,
    same_name,
    unwrapped,
)
from alga_common.text import cut
from alga_common.wire import MAX_ARCHIVE_BYTES

from ..errors import BundleInvalid
from .tar import members, shown

_LEVEL = 12
_SLICE = 512
"""Compressed bytes decoded at a time."""
_STEP_BYTES = _SLICE // 4 * 128 * 1024
"""Zstd makes at most 128 KiB of 4 bytes."""
_RATIO = 200
_FREE_BYTES = 32 * 1024 * 1024
"""An archive unpacks to ``_RATIO`` times its size at most, or to this: 20 times what text and code are packed by."""
_MAX_FRAMES = 1_000
"""Frames of an archive: tools that compress in pieces write one for each, of a megabyte and more."""
_FRAMES_HINT = "Compress it in one piece: zstd bundle.tar."
_FRAME = b"\x28\xb5\x2f\xfd"
_SINGLE_SEGMENT = 0x20
_WINDOW = MAX_UNPACKED_BYTES
_WINDOW_CODE = (28 - 10) << 3
"""``_WINDOW`` in a frame's header: 2 to the power of 28 (RFC 8878, 3.1.1.1.2)."""
_HERE = re.compile(r"(?:\./)*")
"""The start of a path that leads nowhere."""


def _largest_tar(archive_bytes: int, max_bytes: int) -> int:
    return min(max_bytes, max(_FREE_BYTES, _RATIO * archive_bytes))


def unpacking_bytes(archive_bytes: int) -> int:
    """The memory that unpacking an archive of that size takes at most: itself, what one step decodes, and files."""
    files = _largest_tar(archive_bytes, MAX_UNPACKED_BYTES)
    return archive_bytes + _STEP_BYTES + files + files // 8


MAX_UNPACKING_BYTES = unpacking_bytes(MAX_ARCHIVE_BYTES)
"""Of all archives that a process unpacks at the same time: one of the largest, or ten small ones."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """``files`` (path to content) as an archive; the same files give the same bytes.

    Raises ``BundleInvalid`` for a path that ``unpack`` would refuse.
    """
    if (doubled := same_name(files)) is not None:
        raise BundleInvalid(_one_name(*doubled), hint="Keep one of them.")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for path in sorted(files):
            if (fault := path_fault(path)) is not None:
                raise BundleInvalid(f"The bundle's entry {shown(path)} {fault}.", hint=NAME_HINT)
            entry = tarfile.TarInfo(path)
            entry.size = len(files[path])
            tar.addfile(entry, io.BytesIO(files[path]))
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(buffer.getvalue())


def unpack(
    data: bytes,
    *,
    on_skip: Callable[[str], None] | None = None,
    max_bytes: int = MAX_UNPACKED_BYTES,
    max_files: int = MAX_FILES,
) -> dict[str, bytes]:
    """The files of an archive, path to content; directories and hidden files are ignored (alga-contract 3).

    Archives made on a desktop carry the likes of ``.DS_Store``. Raises ``BundleInvalid`` for anything else than a whole
    archive of regular files with plain relative paths, for a path that occurs twice, in one or in two of Unicode's
    normal forms, and past ``max_bytes`` of tar or ``max_files`` members. Given ``on_skip``, such an entry is left out
    instead, of two that are one path the second, and it is called with a sentence about it. Of an archive of an
    extension's folder, rather than of its files, the paths are those below the folder.
    """
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}

    def refuse(sentence: str, hint: str | None = None) -> None:
        if on_skip is None:
            raise BundleInvalid(sentence, hint=hint)
        on_skip(sentence)

    for number, (raw, content, fault) in enumerate(members(_Tar(data, max_bytes).read), start=1):
        if number > max_files:
            raise BundleInvalid(f"The bundle has more than {max_files} entries.")
        if (content is None and fault is None) or _is_hidden(raw):
            continue
        path = _HERE.sub("", raw, count=1)
        if content is None:
            refuse(f"The bundle's entry {shown(raw)} {fault}.")
        elif (fault := path_fault(path)) is not None:
            refuse(f"The bundle's entry {shown(raw)} {fault}.", NAME_HINT)
        elif (other := names.setdefault(unicodedata.normalize("NFC", path), path)) != path:
            refuse(_one_name(other, path), "Keep one of them.")
        elif path in files:
            refuse(f"The bundle's entry {shown(path)} is in the archive twice.")
        else:
            files[path] = content
    return unwrapped(files)


def _one_name(*paths: str) -> str:
    one, other = (ascii(cut(path, 200)) for path in paths)
    return f"The bundle's entries {one} and {other} are one name in two of Unicode's normal forms."


def _is_hidden(raw: str) -> bool:
    """Whether ``raw`` is a plain path but for a segment that starts with a dot."""
    segments = raw.removeprefix("./").split("/")
    climbs = any(segment in {"", ".", ".."} for segment in segments)
    return not climbs and any(segment.startswith(".") for segment in segments)


class _Tar:
    """The concatenated frames of ``data``, decoded as they are read; no more than ``max_bytes`` of them."""

    def __init__(self, data: bytes, max_bytes: int) -> None:
        if not data:
            raise BundleInvalid("The bundle is empty.", hint="Pack it again.")
        self._data = data
        self._position = self._frames = self._made = 0
        self._max_bytes = max_bytes
        self._most = _largest_tar(len(data), max_bytes)
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self._ahead = bytearray()

    def read(self, count: int) -> bytes:
        """Return the next ``count`` bytes, fewer at the end. Raises ``BundleInvalid``."""
        taken = io.BytesIO()
        while count and (self._ahead or self._decode()):
            with memoryview(self._ahead) as ahead:
                length = taken.write(ahead[:count])
            del self._ahead[:length]
            count -= length
        return taken.getvalue()

    def _decode(self) -> bool:
        """Decode the next bytes; returns whether there were any."""
        while not self._ahead and self._position < len(self._data):
            piece = self._data[self._position : self._position + _SLICE]
            try:
                if self._frame.eof or self._position == 0:
                    piece = self._begin(piece)
                self._ahead += self._frame.decompress(piece)
            except zstandard.ZstdError as error:
                raise BundleInvalid(f"The bundle is not zstd at byte {self._position}: {error}.") from error
            self._position += len(piece) - len(self._frame.unused_data)
            self._made += len(self._ahead)
            if self._made > self._most:
                is_largest = self._most == self._max_bytes
                bound = f"{self._max_bytes} bytes" if is_largest else f"{_RATIO} times its own size"
                raise BundleInvalid(f"The bundle unpacks to more than {bound}.")
        if not self._ahead and not self._frame.eof:
            raise BundleInvalid("The bundle ends in the middle of its zstd frame: it is truncated.")
        return bool(self._ahead)

    def _begin(self, piece: bytes) -> bytes:
        """Begin a frame, with ``piece``."""
        self._frames += 1
        if self._frames > _MAX_FRAMES:
            raise BundleInvalid(f"The bundle has more than {_MAX_FRAMES} zstd frames.", hint=_FRAMES_HINT)
        self._frame = self._decompressor.decompressobj()
        return _with_window(piece)


def _with_window(start: bytes) -> bytes:
    """The start of a frame, with a window of ``_WINDOW`` where it asks for a larger one.

    ``zstd --long=31`` asks for 2 GiB for any input. No match reaches back further than there are bytes, and there are
    no more than that, so the smaller one is enough and takes no more memory.
    """
    if len(start) < 6 or not start.startswith(_FRAME) or start[4] & _SINGLE_SEGMENT:
        return start
    return start[:5] + bytes([min(start[5], _WINDOW_CODE)]) + start[6:]
