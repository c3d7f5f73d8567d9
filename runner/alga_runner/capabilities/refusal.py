"""What a guest and an operator are told about a call that went wrong."""

from __future__ import annotations

import traceback

from pydantic import BaseModel, ValidationError

_PLAIN = {
    "missing": "Required",
    "string_type": "Must be a string",
    "bool_type": "Must be true or false",
    "int_type": "Must be a whole number",
    "dict_type": "Must be a map",
    "list_type": "Must be a list",
    "string_too_long": "Must have at most {max_length} characters",
}

MAX_DETAIL_CHARACTERS = 200


def field_errors(error: ValidationError, model: type[BaseModel]) -> dict[str, str]:
    """The first fault of each member of ``model``, keyed by its camelCase name, in plain words without its value."""
    faults: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_input=False):
        member = str(fault["loc"][0]) if fault["loc"] else "input"
        field = model.model_fields.get(member)
        name = (field.alias if field else None) or member
        plain = _PLAIN.get(fault["type"])
        text = plain.format_map(fault.get("ctx", {})) if plain else fault["msg"]
        faults.setdefault(name, text[:1].upper() + text[1:])
    return faults


def unexpected(error: Exception) -> str:
    """An exception nobody foresaw, for operators: its type, where it rose, and its text, bounded.

    A ``ValidationError`` quotes the input it refused, so only its kinds are told.
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    place = f" at {frames[0].name}:{frames[0].lineno}" if frames else ""
    if isinstance(error, ValidationError):
        text = ", ".join(fault["type"] for fault in error.errors(include_url=False, include_input=False))
    else:
        text = str(error)
    return f"{type(error).__name__}{place}: {text[:MAX_DETAIL_CHARACTERS]}"
