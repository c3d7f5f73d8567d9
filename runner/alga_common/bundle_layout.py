"""The layout of an extension's folder, the names of a bundle's files, and reading a folder's files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

MANIFEST = "manifest.json"

WASM = "dist/main.wasm"
"""Path of the module in every bundle; the manifest cannot choose another (alga-contract 3)."""

SOURCE_MAP = "dist/main.wasm.map"
"""Where AssemblyScript's compiler puts the module's source map; few bundles have one."""

_OWN_FOLDERS = frozenset({"dist", "ui"})

MAX_UNPACKED_BYTES = 256 * 1024 * 1024
"""Largest tar inside an archive, and largest sum of the files in a folder."""

MAX_FILES = 10_000
"""Most entries of an archive, directories and records about entries included, and most files in a folder."""

MAX_PATH_BYTES = 1024
"""Of a file's path in UTF-8. Unicode's normal forms of a long one can take quadratic time."""

NAME_HINT = (
    "Rename it. Letters of any script, spaces and emoji work; control characters, backslashes, names that start with"
    " a dot, absolute paths and paths that climb with '..' do not."
)

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\\\\\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that no path has. Ranges, not Unicode's categories, which change with the version of Python."""

PATH_HINT = f"Give an extension's folder ({MANIFEST}, {WASM}) or a .tar.zst file."


ARCHIVE = "bundle.tar.zst"
"""An archive's file name in a bundle store."""

SIGNATURE_SUFFIX = ".SIGNATURE"
"""Added to an archive's file name, it is that of its signature, next to it (alga-contract 3)."""

MAX_SIGNATURE_BYTES = 4096
"""No signature's document is larger."""


class LayoutError(Exception):
    """A folder or file that no bundle can be read from. ``missing`` is set if a file or folder does not exist."""

    def __init__(self, message: str, *, missing: bool = False, hint: str) -> None:
        super().__init__(message)
        self.missing = missing
        self.hint = hint


def path_fault(path: str) -> str | None:
    """Return why ``path`` cannot name a file of a bundle, as the end of a sentence; ``None`` if it can.

    A path is relative and plain: no empty segment, none that starts with a dot, no backslash. It is UTF-8 without
    control characters, line separators, and marks that turn the direction of the text after them.
    """
    if len(path) > MAX_PATH_BYTES or len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        return f"has a path of more than {MAX_PATH_BYTES} bytes"
    if (unfit := _UNFIT.search(path)) is not None:
        return _character_fault(path, unfit.start())
    if all(segment and not segment.startswith(".") for segment in path.split("/")):
        return None
    return "does not have a plain relative path"


def _character_fault(path: str, index: int) -> str:
    code = ord(path[index])
    if 0xDC80 <= code <= 0xDCFF:  # how Python decodes a byte that is not UTF-8
        before = len(path[:index].encode("utf-8", "surrogateescape"))
        return f"has a name that is not UTF-8: byte 0x{code - 0xDC00:02X} after {before} bytes"
    if path[index] == "\\":
        kind = "a backslash"
    elif code < 0xA0:
        kind = "a control character"
    elif code < 0x202A:
        kind = "a line separator"
    elif code < 0xD800:
        kind = "a mark that turns the direction of text"
    else:
        kind = "half of a surrogate pair"
    return f"has {kind} in its name: U+{code:04X}, character {index + 1} of its path"


def same_name(paths: Iterable[str]) -> tuple[str, str] | None:
    """Return two of ``paths`` that are one name in two of Unicode's normal forms, if there are such.

    Some file systems hold one of them only, and a person cannot tell them apart.
    """
    by_name: dict[str, str] = {}
    for path in paths:
        other = by_name.setdefault(unicodedata.normalize("NFC", path), path)
        if other != path:
            return other, path
    return None


def unwrapped(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """``files`` of an archive without the name of the folder that it was made of, if it was made of one.

    That is the one folder at the top with a manifest where the top has none (alga-contract 3.2). Files next to the
    folder keep their paths, and go before those in it.
    """
    tops = [top for path in files for top, _, name in [path.partition("/")] if name == MANIFEST]
    if MANIFEST in files or len(tops) != 1 or tops[0] in _OWN_FOLDERS:
        return dict(files)
    prefix = f"{tops[0]}/"
    return {path.removeprefix(prefix): files[path] for path in files if path.startswith(prefix)} | {
        path: content for path, content in files.items() if not path.startswith(prefix)
    }


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read the files of an extension's folder: path in the bundle to content.

    Those are ``manifest.json``, ``dist/main.wasm`` and its source map if they are there, and ``ui/**`` without names
    that start with a dot. Raises ``LayoutError``.
    """
    if not (folder / MANIFEST).exists():
        raise LayoutError(
            f"The folder {folder} has no {MANIFEST}.",
            missing=True,
            hint=f"Give an extension's folder, which has {MANIFEST}, and {WASM} or ui/.",
        )
    paths = [MANIFEST, *(path for path in (WASM, SOURCE_MAP) if (folder / path).exists()), *_ui_paths(folder)]
    if len(paths) > MAX_FILES:
        raise LayoutError(
            f"The folder {folder} has more than {MAX_FILES} files.", hint="Leave out what no page needs."
        )
    root = folder.resolve()
    room = MAX_UNPACKED_BYTES
    files: dict[str, bytes] = {}
    for path in paths:
        file = folder / path
        if not file.resolve().is_relative_to(root):
            raise LayoutError(
                f"{file} is a link that leads out of the extension's folder.",
                hint="Put a copy of the file there.",
            )
        files[path] = read_file(file, room)
        room -= len(files[path])
    return files


def read_file(path: Path, max_bytes: int, name: str | None = None) -> bytes:
    """Read the regular file ``path``, which errors call ``name``. Raises ``LayoutError``."""
    name = name or str(path)
    try:
        if path.exists() and not path.is_file():
            raise LayoutError(f"{name} is not a regular file.", hint="Put a file there, or remove it.")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise LayoutError(
            f"{name} cannot be read: {error.strerror}.", missing=True, hint=PATH_HINT
        ) from error
    if len(content) > max_bytes:
        raise LayoutError(
            f"{name} is larger than a bundle may be: more than {max_bytes} bytes.",
            hint="Strip debug information from the module, and leave out what no page needs.",
        )
    return content


def _ui_paths(folder: Path) -> Iterator[str]:
    for file in sorted((folder / "ui").rglob("*")):
        path = file.relative_to(folder)
        if any(part.startswith(".") for part in path.parts):
            continue
        if (fault := path_fault(path.as_posix())) is not None:
            raise LayoutError(f"The file {path.as_posix()!r} {fault}.", hint=NAME_HINT)
        if not file.is_dir():
            yield path.as_posix()
        elif file.is_symlink():
            raise LayoutError(
                f"{file} is a link to a folder, which a bundle cannot hold.",
                hint="Put a copy of the folder there.",
            )


def stored_folder(tenant_id: str, extension_id: str, digits: str) -> tuple[str, ...]:
    """The segments of a tenant's folder for a bundle with the SHA-256 ``digits``, below a store (alga-contract 3).

    Raises ``ValueError`` for an id that is not one plain segment.
    """
    tenant, extension = _segment("tenant", tenant_id), _segment("extension", extension_id)
    return ("tenants", tenant, "extensions", extension, "sha256", digits)


def _segment(kind: str, name: str) -> str:
    """``name`` if it is one plain segment of a path: nothing that climbs, hides or splits."""
    plain = name.isprintable() and not name.startswith(".") and not set("/\\") & set(name)
    if not plain or not 0 < len(name.encode()) <= 128:
        raise ValueError(f"The {kind} id {name[:80]!r} cannot name a bundle")
    return name
