"""What is published from a disk: an extension's folder, packed, or a bundle as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alga_runner.models.archive import MAX_UNPACKED_BYTES, pack

from .failures import Failure

_REQUIRED = ("manifest.json", "dist/main.wasm")
_SOURCE_MAP = "dist/main.wasm.map"
_UI = "ui"


def read_archive(path: Path) -> bytes:
    """The bundle at ``path``. Of a folder ``manifest.json``, ``dist/main.wasm`` and ``ui/**`` are packed.

    So is the module's source map, ``dist/main.wasm.map``, where there is one. Names that start with a dot are left
    out. Raises ``Failure``: ``extension_not_found``, ``extension_unusable``.
    """
    if not path.exists():
        raise Failure(
            "extension_not_found",
            f"There is nothing at {path}.",
            hint="Give an extension's folder (manifest.json, dist/main.wasm) or a packed bundle (.tar.zst).",
        )
    try:
        if path.is_dir():
            return pack(dict(_folder(path)))
        if path.is_file():
            return _read(path, MAX_UNPACKED_BYTES)
    except OSError as error:
        raise Failure("extension_unusable", f"{error.filename} cannot be read: {error.strerror}.") from None
    raise Failure("extension_unusable", f"{path} is neither a folder nor a regular file.")


def _folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    root = folder.resolve()
    room = MAX_UNPACKED_BYTES
    source_map = [_SOURCE_MAP] if (folder / _SOURCE_MAP).exists() else []
    for name in (*_REQUIRED, *source_map, *_ui(folder)):
        file = folder / name
        if not file.is_file():
            raise Failure(
                "extension_not_found", f"The folder {folder} holds no {name}.", hint=_next_step(name)
            )
        if not file.resolve().is_relative_to(root):
            raise Failure("extension_unusable", f"{file} is a link that leads out of the extension's folder.")
        content = _read(file, room)
        room -= len(content)
        yield name, content


def _ui(folder: Path) -> Iterator[str]:
    for file in sorted((folder / _UI).rglob("*")):
        name = file.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        if not file.is_dir():
            yield name.as_posix()
        elif file.is_symlink():
            raise Failure("extension_unusable", f"{file} is a link to a folder, which a bundle cannot hold.")


def _read(file: Path, room: int) -> bytes:
    with file.open("rb") as stream:
        content = stream.read(room + 1)
    if len(content) > room:
        raise Failure("extension_unusable", f"{file} is larger than a bundle may be.")
    return content


def _next_step(name: str) -> str:
    if name == "dist/main.wasm":
        return "Build the extension first; its module belongs at dist/main.wasm."
    return "Give the folder in which manifest.json stands."
