"""Which paths name a file of a page (alga-contract 2, the sanitiser)."""

from __future__ import annotations

import re

CONTENT_TYPES = {
    "html": b"text/html",
    "js": b"text/javascript",
    "css": b"text/css",
    "json": b"application/json",
    "map": b"application/json",
    "svg": b"image/svg+xml",
    "png": b"image/png",
    "jpg": b"image/jpeg",
    "jpeg": b"image/jpeg",
    "webp": b"image/webp",
    "woff": b"font/woff",
    "woff2": b"font/woff2",
}
"""The extensions that a file of a page may have, and the type that it is served with."""

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\\\\\ufffd\ud800-\udfff]")


def clean_path(path: str) -> str | None:
    """``path`` below ``ui/``, with repeated slashes as one and none at its end; ``None`` if it names no file.

    A path is relative. No segment starts with a dot, so none climbs or hides; the last one has no extension, or one of
    ``CONTENT_TYPES``. The empty path is the root.
    """
    if path.startswith("/") or _UNFIT.search(path):
        return None
    segments = [segment for segment in path.split("/") if segment]
    if any(segment.startswith(".") for segment in segments):
        return None
    if segments:
        _, dot, extension = segments[-1].rpartition(".")
        if dot and extension.lower() not in CONTENT_TYPES:
            return None
    return "/".join(segments)


def content_type(path: str) -> bytes:
    """The type of the file at a clean path."""
    return CONTENT_TYPES.get(path.rpartition("/")[2].rpartition(".")[2].lower(), b"application/octet-stream")
