"""Plain values of operations as values of a component's types, and back.

Operations exchange maps with camelCase keys (``models``); a component has records with kebab-case fields, options, and
JSON text where an operation takes any value. A component is answered by *its* types, so that one built against an older
or a newer world gets the members that it knows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..engine import FunctionType, ValueType
from ..errors import HostCallCode, HostCallError
from ..models.json_value import JsonValue, ReadableJson

_NEAREST = {
    "denied": ("denied", "not-allowed"),
    "not-found": ("not-found", "missing", "route-not-found"),
    "validation-failed": ("validation-failed", "invalid-input", "bad-request"),
    "too-large": ("validation-failed", "invalid-input", "bad-request"),
    "quota-exceeded": ("quota-exceeded",),
    "rate-limited": ("quota-exceeded",),
    "conflict": ("conflict",),
    "timeout": ("transport",),
    "unavailable": ("not-available",),
    "unsupported": ("not-available",),
    "internal": ("not-available",),
}
"""The cases of the world's error types that say the same as a code, the nearest first; ``internal`` is the last."""


@lru_cache(maxsize=2_000)
def camel(name: str) -> str:
    """``scheduleId`` of ``schedule-id``."""
    first, *rest = name.split("-")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def json_members(of: Any) -> frozenset[str]:
    """The camelCase names of the members, of any model in the type ``of``, that hold any JSON value."""
    if isinstance(of, type) and issubclass(of, BaseModel):
        own = {fields.alias or name for name, fields in of.model_fields.items() if _holds_json(fields)}
        return frozenset(own.union(*(json_members(fields.annotation) for fields in of.model_fields.values())))
    return frozenset(member for inner in get_args(of) for member in json_members(inner))


_JSON_MARKS = (*get_args(JsonValue)[1:], *get_args(ReadableJson)[1:])


def _holds_json(member: FieldInfo) -> bool:
    return any(mark in member.metadata for mark in _JSON_MARKS)


def to_input(
    signature: FunctionType, arguments: tuple[Any, ...], json_texts: Collection[str], cleared: Collection[str]
) -> dict[str, object]:
    """The arguments of a call as an operation's input: a record gives its fields, anything else itself.

    Absent options are left out. The members of ``json_texts`` are parsed; an empty one is ``None``, to clear, if it is
    in ``cleared``, and else left out. Raises ``HostCallError`` for text that is not JSON.
    """
    plain: dict[str, object] = {}
    for (name, of), value in zip(signature.params, arguments, strict=True):
        if of.kind == "record":
            plain.update(_plain(of, value))
        elif value is not None:
            plain[camel(name)] = _plain(of, value)
    for name in json_texts:
        text = plain.get(name)
        if not isinstance(text, str):
            continue
        if text:
            plain[name] = _parsed(name, text)
        elif name in cleared:
            plain[name] = None
        else:
            del plain[name]
    return plain


def _plain(of: ValueType, value: Any) -> Any:
    if of.kind == "record":
        return {
            camel(name): _plain(field, value[name]) for name, field in of.fields if value[name] is not None
        }
    if of.kind == "option" and value is not None and of.element is not None:
        return _plain(of.element, value)
    if of.kind == "list" and of.element is not None and of.element.kind == "record":
        return [_plain(of.element, item) for item in value]
    return value


def _parsed(name: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        fault = "Must be valid JSON"
        raise HostCallError(
            HostCallCode.VALIDATION_FAILED, f"{name}: {fault}.", field_errors={name: fault}
        ) from None


def shaped(of: ValueType | None, value: Any, json_texts: Collection[str] = ()) -> Any:
    """A plain value as one of the type ``of``. Raises ``HostCallError`` for a part that the type needs and it lacks."""
    if of is None:
        return None
    match of.kind:
        case "option":
            return None if value is None else shaped(of.element, value, json_texts)
        case "list" if of.element is not None and of.element.kind == "tuple" and isinstance(value, Mapping):
            return sorted(value.items())
        case "list" if of.element is not None and of.element.kind != "u8":
            if not isinstance(value, list):
                raise _unknown("a list where the host has another value")
            return [shaped(of.element, item, json_texts) for item in value]
        case "record":
            if not isinstance(value, Mapping):
                raise _unknown("a record where the host has another value")
            return {name: _member(name, field, value, json_texts) for name, field in of.fields}
        case "enum" if value not in of.names:
            raise _unknown(f"the case {value!r} of an enum that has {', '.join(of.names)}")
        case _:
            return value


def _member(name: str, of: ValueType, value: Mapping[str, Any], json_texts: Collection[str]) -> Any:
    plain = camel(name)
    member = value.get(plain)
    if member is None:
        if of.kind == "option":
            return None
        raise _unknown(f"a member {name}, which the host has no value for")
    if plain in json_texts:
        return json.dumps(member, ensure_ascii=False, separators=(",", ":"))
    return shaped(of, member, json_texts)


def _unknown(what: str) -> HostCallError:
    return HostCallError(
        HostCallCode.INTERNAL,
        f"The component was built against another version of the interface: its type has {what}.",
    )


def only_member(output: type[BaseModel]) -> str | None:
    """The camelCase name of the one member that an operation's output has, if it has one.

    A function of the world answers its value alone: the list of ``scheduler.list``, not a record with the list.
    """
    names = [field.alias or name for name, field in output.model_fields.items()]
    return names[0] if len(names) == 1 else None


def outcome(
    of: ValueType | None, reply: Mapping[str, Any], json_texts: Collection[str], member: str | None = None
) -> Any:
    """An operation's envelope as the result of a function that has the type ``of``.

    ``member`` is what the function answers of the operation's output, if not the whole of it. A ``result`` takes the
    value or the case of its error that is nearest to the code; a record with ``success`` takes both; a list without an
    error is empty. Raises ``HostCallError`` for a value or an error that the type cannot say.
    """
    error = reply.get("err")
    if of is None:
        return None
    if of.kind == "record" and any(name == "success" for name, _ in of.members):
        return _record_of(of, reply.get("ok"), error, json_texts)
    if error is None:
        value = reply["ok"] if member is None else reply["ok"].get(member)
        value = shaped(of.element if of.kind == "result" else of, value, json_texts)
        return ("ok", value) if of.kind == "result" else value
    if of.kind == "result":
        return "err", None if of.error is None else _error(of.error, error)
    return [] if of.kind == "list" else None


def _record_of(
    of: ValueType, value: Any, error: Mapping[str, Any] | None, json_texts: Collection[str]
) -> dict[str, Any]:
    if error is None:
        made = shaped(of, {"success": True, **(value or {})}, json_texts)
    else:
        text, field_errors = error["message"], error.get("fieldErrors")
        if field_errors and all(name != "field-errors" for name, _ in of.fields):
            text += f" ({'; '.join(f'{field}: {fault}' for field, fault in field_errors.items())})"
        made = shaped(of, {"success": False, "error": text, "fieldErrors": field_errors}, {"fieldErrors"})
    assert isinstance(made, dict)  # noqa: S101 - a record is one
    return made


def _error(of: ValueType, error: Mapping[str, Any]) -> object:
    if of.kind == "string":
        return error["message"]
    cases = of.names if of.kind == "enum" else tuple(name for name, value in of.members if value is None)
    code = error["code"]
    nearest = (code, *_NEAREST.get(code, ()), "internal", "not-available")
    case = next((case for case in nearest if case in cases), cases[-1] if cases else None)
    return case if of.kind == "enum" else (case, None)
