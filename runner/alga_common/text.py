"""Text from guests, callers and servers, made safe to print: bounded, and with control characters escaped."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

_BYTES_SHOWN = 32


def is_unicode(text: str) -> bool:
    """Whether UTF-8 has a form for ``text``: it holds no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(text: str) -> bool:
    """Whether every database can hold ``text``: no NUL, no half of a surrogate pair."""
    return is_unicode(text) and "\0" not in text


def replace_surrogates(text: str) -> str:
    """``text`` with U+FFFD for each half of a surrogate pair."""
    return text if is_unicode(text) else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def escape_controls(text: str, *, keep_lines: bool = False) -> str:
    """Escape every character of ``text`` that is not printable: controls, escape sequences, bidirectional marks.

    With ``keep_lines`` line ends and tabs stay.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if keep_lines else ""
    return "".join(
        character
        if character.isprintable() or character in kept
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def cut(text: str, limit: int) -> str:
    """``text`` with at most ``limit`` characters; a cut one ends with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def utf8_tail(text: str, limit: int) -> str:
    """Return the end of ``text`` in at most ``limit`` bytes of UTF-8, cut between characters.

    A character that UTF-8 cannot hold becomes a question mark.
    """
    encoded = text[max(0, len(text) - limit) :].encode("utf-8", "replace")
    return encoded[max(0, len(encoded) - limit) :].decode("utf-8", "ignore")


def shortened(text: str, limit: int) -> str:
    """Cut ``text`` to about ``limit`` characters, and say how many are missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}... ({len(text) - limit} more characters)"


def plain(value: Any) -> Any:
    """Convert ``value`` to what JSON has: bytes become ``{"base64": ...}``, NaN and infinities strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def one_line(value: Any, limit: int) -> str:
    """Format ``value`` as JSON on one line."""
    return escape_controls(shortened(json.dumps(plain(value), ensure_ascii=False), limit))


def body_text(body: bytes) -> str:
    """Format a body for reading: JSON is indented, other text is kept, of anything else the first bytes are shown."""
    if not body:
        return "(no body)"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        more = " ..." if len(body) > _BYTES_SHOWN else ""
        return f"({len(body)} bytes, not UTF-8: {body[:_BYTES_SHOWN].hex(' ')}{more})"
    if text.lstrip()[:1] in {"{", "["}:
        with suppress(ValueError, RecursionError):  # not JSON after all, or nested too deeply to indent
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return escape_controls(text, keep_lines=True)


def milliseconds(seconds: float) -> str:
    """Format a duration: ``2.1 ms``."""
    return f"{seconds * 1000:.1f} ms"


def size(count: int) -> str:
    """Format a number of bytes: ``9.2 KiB``."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"


def counted(count: int, noun: str) -> str:
    """Format a number of things: ``1 log line``, ``2 log lines``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(items: Sequence[str], *, nothing: str = "nothing") -> str:
    """Join ``items``: ``a, b``, or ``nothing`` for none."""
    return ", ".join(items) or nothing


def minute(instant: str | None) -> str | None:
    """Shorten an RFC 3339 instant in UTC to seconds: ``2026-01-24 19:00:00``."""
    return None if instant is None else instant[:19].replace("T", " ")
