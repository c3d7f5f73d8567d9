"""Read a bundle from where a developer has it: an extension's folder, or a packed archive."""

from __future__ import annotations

import os
from pathlib import Path

from alga_common.bundle_layout import MANIFEST, PATH_HINT, LayoutError, read_file, read_folder
from alga_common.wire import MAX_ARCHIVE_BYTES

from ..errors import BundleError, BundleInvalid, BundleNotFound
from ..models.manifest import check_module_presence
from .bundle import Bundle

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read the bundle at ``path``, an extension's folder or a ``.tar.zst`` file; its manifest is valid.

    Of a folder only ``manifest.json``, ``dist/main.wasm``, the source map next to it, and ``ui/**`` are taken, without
    names that start with a dot; its content hash is that of the archive they pack to. An extension of ``ui/`` alone
    has no module. Raises ``BundleNotFound``, ``BundleInvalid``, ``ManifestInvalid``.
    """
    place = Path(path)
    if place.is_dir():
        try:
            files = read_folder(place)
        except LayoutError as error:
            raise _refusal(error) from error
        bundle = Bundle.from_files(files)
    elif place.exists():
        bundle = _packed(place)
    else:
        raise BundleNotFound(
            f"There is no bundle at {place}: neither a folder nor a file.",
            hint=PATH_HINT,
        )
    check_module_presence(bundle.manifest, bundle.files, f"The extension in {place}")
    return bundle


def read_archive(path: Path, name: str | None = None) -> bytes:
    """The bytes of the regular file ``path``, which errors call ``name``.

    Raises ``BundleNotFound``, or ``BundleInvalid`` when it is too large.
    """
    try:
        return read_file(path, MAX_ARCHIVE_BYTES, name)
    except LayoutError as error:
        raise _refusal(error) from error


def _packed(place: Path) -> Bundle:
    """The bundle in the archive ``place``. The hint names the folder where ``place`` is a file of one."""
    archive = read_archive(place)
    try:
        return Bundle.from_archive(archive)
    except BundleInvalid:
        if not archive or archive.startswith(_ZSTD_MAGIC):
            raise
        folder = next((above for above in place.absolute().parents[:2] if (above / MANIFEST).exists()), None)
        raise BundleInvalid(
            f"{place} is not a packed bundle: it does not start with zstd's magic bytes 28 b5 2f fd.",
            hint=f"Give the extension's folder: {folder}." if folder else PATH_HINT,
        ) from None


def _refusal(error: LayoutError) -> BundleError:
    kind = BundleNotFound if error.missing else BundleInvalid
    return kind(str(error), hint=error.hint)
