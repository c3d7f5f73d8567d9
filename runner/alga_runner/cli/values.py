"""Values of guests and servers as text that is safe to show: bounded, and without anything a terminal would obey."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_BYTES_SHOWN = 32


def tame(text: str, *, lines: bool = False) -> str:
    """``text`` with every character escaped that is not for reading: controls, escapes, bidirectional marks.

    Line ends and tabs stay if ``lines``.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(each if each.isprintable() or each in kept else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(text: str, limit: int) -> str:
    """At most about ``limit`` characters of ``text``; a cut says how much is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}... ({len(text) - limit} more characters)"


def plain(value: Any) -> Any:
    """``value`` as JSON can say it: bytes are ``{"base64": ...}``, NaN and infinities are strings."""
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
    """``value`` as JSON on one line."""
    return tame(shortened(json.dumps(plain(value), ensure_ascii=False), limit))


def body_text(body: bytes) -> str:
    """A body to read: JSON is laid out, other text is shown as it is, anything else by its first bytes."""
    if not body:
        return "(no body)"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        more = " ..." if len(body) > _BYTES_SHOWN else ""
        return f"({len(body)} bytes, not UTF-8: {body[:_BYTES_SHOWN].hex(' ')}{more})"
    if text.lstrip()[:1] in {"{", "["}:
        with suppress(ValueError, RecursionError):  # not JSON after all, or none that can be laid out
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return tame(text, lines=True)


def milliseconds(seconds: float) -> str:
    """A duration: ``2.1 ms``."""
    return f"{seconds * 1000:.1f} ms"


def size(count: int) -> str:
    """A number of bytes: ``9.2 KiB``."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"


def counted(count: int, noun: str) -> str:
    """``1 log line``, ``2 log lines``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
