"""Reading an extension from a disk to publish it: a folder, which is packed, or a packed bundle."""

from __future__ import annotations

import base64
from pathlib import Path

from alga_common.bundle_layout import (
    MAX_SIGNATURE_BYTES,
    PATH_HINT,
    SIGNATURE_SUFFIX,
    LayoutError,
    read_file,
    read_folder,
)
from alga_common.cli.failures import Failure
from alga_common.wire import MAX_ARCHIVE_BYTES
from alga_runner.errors import BundleInvalid
from alga_runner.models.archive import pack


def read_archive(path: Path) -> bytes:
    """Read the bundle at ``path``; a folder is packed (see ``read_folder``).

    Raises ``Failure``: ``extension_not_found``, ``extension_unusable``.
    """
    if not path.exists():
        raise Failure("extension_not_found", f"There is no file or folder at {path}.", hint=PATH_HINT)
    try:
        return pack(read_folder(path)) if path.is_dir() else read_file(path, MAX_ARCHIVE_BYTES)
    except BundleInvalid as error:
        raise Failure("extension_unusable", str(error), hint=error.hint) from None
    except LayoutError as error:
        if error.missing:
            raise Failure("extension_not_found", str(error), hint=error.hint) from None
        raise Failure("extension_unusable", str(error), hint=error.hint) from None


def signature_header(path: Path) -> dict[str, str]:
    """The header with the signature of the packed bundle at ``path``; empty without one next to it.

    Raises ``Failure``: ``extension_unusable``.
    """
    place = path.with_name(path.name + SIGNATURE_SUFFIX)
    if path.is_dir() or not place.exists():
        return {}
    try:
        document = read_file(place, MAX_SIGNATURE_BYTES)
    except LayoutError as error:
        raise Failure(
            "extension_unusable", str(error), hint="Sign the bundle again, or remove the file."
        ) from None
    return {"x-alga-signature": base64.b64encode(document).decode()}
