"""The layout of an extension's folder, and reading the files that belong to its bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MANIFEST = "manifest.json"

WASM = "dist/main.wasm"
"""Path of the module in every bundle; the manifest cannot choose another (alga-contract 3)."""

SOURCE_MAP = "dist/main.wasm.map"
"""Where AssemblyScript's compiler puts the module's source map; few bundles have one."""

MAX_UNPACKED_BYTES = 256 * 1024 * 1024
"""Largest tar inside an archive, and largest sum of the files in a folder."""

MAX_FILES = 10_000
"""Most entries of an archive, directories and records about entries included, and most files in a folder."""

PATH_HINT = f"Give an extension's folder ({MANIFEST}, {WASM}) or a .tar.zst file."


class LayoutError(Exception):
    """A folder or file that no bundle can be read from. ``missing`` is set if a file or folder does not exist."""

    def __init__(self, message: str, *, missing: bool = False, hint: str | None = None) -> None:
        super().__init__(message)
        self.missing = missing
        self.hint = hint


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read the files of an extension's folder: path in the bundle to content.

    Those are ``manifest.json``, ``dist/main.wasm``, its source map if there is one, and ``ui/**`` without names that
    start with a dot. Raises ``LayoutError``.
    """
    if not (folder / MANIFEST).exists():
        raise LayoutError(
            f"The folder {folder} has no {MANIFEST}.",
            missing=True,
            hint=f"Give an extension's folder, which has {MANIFEST} and {WASM}.",
        )
    if not (folder / WASM).exists():
        raise LayoutError(
            f"The extension in {folder} is not built: it has no {WASM}.",
            missing=True,
            hint="Run the extension's own build; the samples of this repository are built by `make samples`.",
        )
    source_map = [SOURCE_MAP] if (folder / SOURCE_MAP).exists() else []
    paths = [MANIFEST, WASM, *source_map, *_ui_paths(folder)]
    if len(paths) > MAX_FILES:
        raise LayoutError(f"The folder {folder} has more than {MAX_FILES} files.")
    root = folder.resolve()
    room = MAX_UNPACKED_BYTES
    files: dict[str, bytes] = {}
    for path in paths:
        file = folder / path
        if not file.resolve().is_relative_to(root):
            raise LayoutError(f"{file} is a link that leads out of the extension's folder.")
        files[path] = read_file(file, room)
        room -= len(files[path])
    return files


def read_file(path: Path, max_bytes: int, name: str | None = None) -> bytes:
    """Read the regular file ``path``, which errors call ``name``. Raises ``LayoutError``."""
    name = name or str(path)
    try:
        if path.exists() and not path.is_file():
            raise LayoutError(f"{name} is not a regular file.")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise LayoutError(f"{name} cannot be read: {error.strerror}.", missing=True) from error
    if len(content) > max_bytes:
        raise LayoutError(f"{name} is larger than a bundle may be: more than {max_bytes} bytes.")
    return content


def _ui_paths(folder: Path) -> Iterator[str]:
    for file in sorted((folder / "ui").rglob("*")):
        path = file.relative_to(folder)
        if any(part.startswith(".") for part in path.parts):
            continue
        if not file.is_dir():
            yield path.as_posix()
        elif file.is_symlink():
            raise LayoutError(f"{file} is a link to a folder, which a bundle cannot hold.")
