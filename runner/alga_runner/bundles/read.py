"""Read a bundle from where a developer has it: an extension's folder, or a packed archive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import BundleInvalid, BundleNotFound
from ..models.archive import MAX_FILES, MAX_UNPACKED_BYTES
from .bundle import MANIFEST, SOURCE_MAP, WASM, Bundle

MAX_ARCHIVE_BYTES = 200 * 1024 * 1024
"""Largest archive that is read: what Alga accepts at upload (alga-contract 3.2)."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_HINT = "Give an extension's folder (manifest.json, dist/main.wasm) or a .tar.zst file."


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """The bundle at ``path``: an extension's folder, or a ``.tar.zst`` file; its manifest is valid.

    Of a folder only ``manifest.json``, ``dist/main.wasm``, its source map beside it, and ``ui/**`` are taken, without
    names that start with a dot; its content hash is that of the archive they pack to. Raises ``BundleNotFound``,
    ``BundleInvalid``, ``ManifestInvalid``.
    """
    place = Path(path)
    if place.is_dir():
        bundle = Bundle.from_files(dict(_folder_files(place)))
    elif place.exists():
        bundle = _packed(place)
    else:
        raise BundleNotFound(
            f"There is no bundle at {place}: neither a folder nor a file.",
            hint=_HINT,
        )
    _ = bundle.manifest
    return bundle


def read_archive(path: Path, name: str | None = None) -> bytes:
    """The bytes of the regular file ``path``, which errors call ``name``.

    Raises ``BundleNotFound``, or ``BundleInvalid`` when it is too large.
    """
    return _read(path, MAX_ARCHIVE_BYTES, name or str(path))


def _packed(place: Path) -> Bundle:
    """The bundle in the archive ``place``. Somebody who named a file of the extension is told its folder."""
    archive = read_archive(place)
    try:
        return Bundle.from_archive(archive)
    except BundleInvalid:
        if not archive or archive.startswith(_ZSTD_MAGIC):
            raise
        folder = next((above for above in place.absolute().parents[:2] if (above / MANIFEST).exists()), None)
        raise BundleInvalid(
            f"{place} is not a packed bundle: it does not start with zstd's magic bytes 28 b5 2f fd.",
            hint=f"Give the extension's folder: {folder}." if folder else _HINT,
        ) from None


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Path in the bundle and content of every file of the layout."""
    if not (folder / MANIFEST).exists():
        raise BundleNotFound(
            f"The folder {folder} holds no {MANIFEST}.",
            hint="Give an extension's folder: manifest.json and dist/main.wasm stand in it.",
        )
    if not (folder / WASM).exists():
        raise BundleNotFound(
            f"The extension in {folder} is not built: it has no {WASM}.",
            hint="Run the extension's own build; the samples of this repository are built by `make samples`.",
        )
    room = MAX_UNPACKED_BYTES
    source_map = [SOURCE_MAP] if (folder / SOURCE_MAP).exists() else []
    paths = [MANIFEST, WASM, *source_map, *_ui_paths(folder)]
    if len(paths) > MAX_FILES:
        raise BundleInvalid(f"The folder {folder} holds more than {MAX_FILES} files.")
    root = folder.resolve()
    for path in paths:
        file = folder / path
        if not file.resolve().is_relative_to(root):
            raise BundleInvalid(f"{file} is a link that leads out of the extension's folder.")
        content = _read(file, room, str(file))
        room -= len(content)
        yield path, content


def _ui_paths(folder: Path) -> Iterator[str]:
    for file in sorted((folder / "ui").rglob("*")):
        path = file.relative_to(folder)
        if any(part.startswith(".") for part in path.parts):
            continue
        if file.is_dir():
            if file.is_symlink():
                raise BundleInvalid(f"{file} is a link to a folder, which a bundle cannot hold.")
            continue
        yield path.as_posix()


def _read(path: Path, room: int, name: str) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise BundleInvalid(f"{name} is not a regular file.")
        with path.open("rb") as file:
            content = file.read(room + 1)
    except OSError as error:
        raise BundleNotFound(f"{name} cannot be read: {error.strerror}.") from error
    if len(content) > room:
        raise BundleInvalid(f"{name} is larger than a bundle may be: more than {room} bytes.")
    return content
