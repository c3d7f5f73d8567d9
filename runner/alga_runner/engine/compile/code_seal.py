"""Seals entries of the code cache: compiled code is native code, so only code that this cache wrote may run.

An entry is the code as wasmtime wrote it, then a mark and an HMAC-SHA256 under a key that only the cache's folder has.
The HMAC covers the code and the entry's name, which identifies the module and the engine's code target: an entry that
was damaged, cut off, renamed, or copied from another folder does not verify. wasmtime ignores bytes after the code.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable

KEY_BYTES = 32
_MARK = b"ALGACODE"
SEAL_BYTES = len(_MARK) + 32
_CHUNK_BYTES = 1024 * 1024


class BrokenSeal(Exception):
    """The entry was not sealed under this name with this key, or it was changed since. The message gives the fault."""


def copy_sealed(source: int, target: int, name: str, key: bytes) -> None:
    """Copy the code in the file ``source`` to the end of ``target``, and seal it for ``name``. Raises ``OSError``."""
    size = os.fstat(source).st_size
    seal = _seal(source, size, name, key, lambda chunk: _write_all(target, chunk))
    _write_all(target, _MARK + seal)


def verify(entry: int, name: str, key: bytes) -> None:
    """Raise ``BrokenSeal`` unless the file ``entry`` is sealed for ``name`` under ``key``; ``OSError``."""
    size = os.fstat(entry).st_size - SEAL_BYTES
    if size < 0:
        raise BrokenSeal("it is cut off")
    seal = os.pread(entry, SEAL_BYTES, size)
    if not seal.startswith(_MARK):
        raise BrokenSeal("it is cut off")
    if not hmac.compare_digest(_MARK + _seal(entry, size, name, key, lambda _: None), seal):
        raise BrokenSeal("its checksum does not match")


def _seal(code: int, size: int, name: str, key: bytes, see: Callable[[memoryview], None]) -> bytes:
    """Return the seal of the first ``size`` bytes of the file ``code``; call ``see`` with each chunk read."""
    seal = hmac.new(key, f"{name}\0{size}\0".encode(), "sha256")
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    offset = 0
    while offset < size:
        count = os.preadv(code, [buffer[: size - offset]], offset)
        if count == 0:
            raise BrokenSeal("it is cut off")
        seal.update(buffer[:count])
        see(buffer[:count])
        offset += count
    return seal.digest()


def _write_all(target: int, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(target, left) :]
