"""The rules of a schedule's other fields: name, payload, enabled (alga-contract 5.2)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from alga_common.text import replace_surrogates, storable
from alga_common.wire import MAX_PAYLOAD_UNITS
from alga_runner.models import json_fault

from ..errors import FieldRefused

MAX_NAME = 128


def check_string(value: object) -> str:
    """``value`` if it is a string. Raises ``FieldRefused``."""
    if not isinstance(value, str):
        raise FieldRefused("Expected string", schema=True)
    return value


def check_name(value: object) -> str | None:
    """The trimmed name; ``None`` for null and blank. Raises ``FieldRefused``."""
    if value is None:
        return None
    name = check_string(value).strip()
    if _units(name) > MAX_NAME:
        raise FieldRefused("Name too long")
    if not storable(name):
        raise FieldRefused("Name holds characters that cannot be stored")
    return name or None


def check_enabled(value: object) -> bool:
    """``value`` if it is a boolean. Raises ``FieldRefused``."""
    if not isinstance(value, bool):
        raise FieldRefused("Expected boolean", schema=True)
    return value


def check_whole(value: object, at_least: int, at_most: int) -> int:
    """``value`` if it is a whole number within the bounds, as JSON has them: 3.0 is 3. Raises ``FieldRefused``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldRefused("Expected a whole number", schema=True)
    if not at_least <= value <= at_most:
        raise FieldRefused(f"Expected a number from {at_least} to {at_most}")
    return value


def check_choice(value: object, choices: Sequence[str]) -> str:
    """``value`` if it is one of ``choices``. Raises ``FieldRefused``."""
    text = check_string(value)
    if text not in choices:
        raise FieldRefused(f"Expected {', '.join(choices[:-1])} or {choices[-1]}")
    return text


def check_payload(value: object) -> dict[str, object] | list[object] | None:
    """``value`` if it is an object, an array or null, and storage returns it the same. Raises ``FieldRefused``."""
    if value is None:
        return None
    if not isinstance(value, dict | list):
        raise FieldRefused("Payload must be a JSON object or array")
    if fault := json_fault(value):
        raise FieldRefused(f"Payload must be JSON-serializable; it {fault}")
    if _units(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) > MAX_PAYLOAD_UNITS:
        raise FieldRefused("Payload too large")
    return value


def storable_part(text: str | None, length: int) -> str | None:
    """The first ``length`` characters of ``text``, with a replacement character for each that is not storable."""
    if text is None:
        return None
    return replace_surrogates(text[:length].replace("\0", "\ufffd"))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
