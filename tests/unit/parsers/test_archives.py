"""What it costs to unpack an archive grows with its size, in any shape."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest
import zstandard

from alga_runner.models import unpack
from alga_runner.models.archive import unpacking_bytes
from tests.support.cost import assert_bounded, assert_linear

_HEADER = 512


def _entry(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, len(content)
    return entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % _HEADER)


def _named(name: str, layout: int) -> bytes:
    """A file whose name is in a record before it, if it is long."""
    return tarfile.TarInfo(name).tobuf(layout, "utf-8", "surrogateescape")


def _many(one: Callable[[int], bytes], *, count_for: int = _HEADER) -> Callable[[int], bytes]:
    return lambda size: b"".join(map(one, range(size // count_for)))


_PAX = b"".join(b"6 k=v\n" for _ in range(60))

TARS: dict[str, Callable[[int], bytes]] = {
    "files": _many(lambda number: _entry(f"ui/{number}")),
    "one-file": lambda size: _entry("ui/a", content=bytes(size)),
    "folders": _many(lambda number: _entry(f"ui/{number}/", tarfile.DIRTYPE)),
    "hidden-files": _many(lambda number: _entry(f"ui/.{number}")),
    "links": _many(lambda number: _entry(f"ui/{number}", tarfile.SYMTYPE)),
    "long-names": _many(lambda number: _named("a/" * 450 + str(number), tarfile.GNU_FORMAT), count_for=2048),
    "pax-names": _many(lambda number: _named("a/" * 450 + str(number), tarfile.PAX_FORMAT), count_for=2048),
    "pax-records": _many(lambda _: _entry("x", tarfile.XHDTYPE, _PAX), count_for=1024),
    "sparse-maps": lambda size: _entry("a", tarfile.GNUTYPE_SPARSE)[:482] + b"\1" + bytes(29) + b"\1" * size,
    "one-name": lambda size: _named("a" * size, tarfile.GNU_FORMAT),
    "name-of-dots": lambda size: _named("./" * (size // 2) + "a", tarfile.GNU_FORMAT),
    "name-of-slashes": lambda size: _named("/" * size, tarfile.PAX_FORMAT),
    "one-folder": _many(lambda number: _entry(f"folder/{number}/manifest.json")),
}


@pytest.mark.parametrize("shape", TARS)
def test_unpacking_costs_its_size(shape: str) -> None:
    assert_linear(unpack, lambda size: zstandard.compress(TARS[shape](size) + bytes(1024)), [32 * 1024])


def test_frames_of_nothing_cost_their_size_and_are_bounded() -> None:
    frame = zstandard.compress(b"")

    assert_linear(unpack, lambda size: frame * (size // len(frame)), [4096])
    assert_bounded(unpack, frame * 100_000, steps=30_000, peak_bytes=1024 * 1024)


def test_a_name_of_dots_costs_no_step_for_each() -> None:
    name = "./" * 30_000 + "a"
    buffer = io.BytesIO(_named(name, tarfile.GNU_FORMAT) + bytes(1024))

    assert unpack(zstandard.compress(buffer.getvalue())) == {"a": b""}
    assert_bounded(unpack, zstandard.compress(buffer.getvalue()), steps=12_000, peak_bytes=4 * 1024 * 1024)


def test_an_archive_takes_no_more_memory_than_is_counted_for_it() -> None:
    size = 31 * 1024 * 1024
    archive = zstandard.compress(_entry("ui/a", content=bytes(size)) + bytes(1024))

    assert_bounded(unpack, archive, steps=2_000, peak_bytes=unpacking_bytes(len(archive)))
