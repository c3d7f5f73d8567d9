"""Plain values of operations as values of a component's types, and back.

Operations exchange maps with camelCase keys (``models``); a component has records with kebab-case fields, options, and
JSON text where an operation takes any value. A component is answered by *its* types, so that one built against an older
or a newer world gets the members that it knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..engine import FunctionType, ValueType
from ..errors import HostCallCode, HostCallError
from ..models.json_value import JsonValue, ReadableJson

_NEAREST = {
    "denied": ("denied", "not-allowed"),
    "not-found": ("not-found", "missing", "route-not-found"),
    "validation-failed": ("validation-failed", "invalid-input", "bad-request", "invalid-url", "denied"),
    "too-large": ("validation-failed", "invalid-input", "bad-request", "denied"),
    "quota-exceeded": ("quota-exceeded", "denied"),
    "rate-limited": ("quota-exceeded", "denied"),
    "conflict": ("conflict",),
    "expired": ("expired", "denied"),
    "timeout": ("transport",),
    "unavailable": ("transport", "not-available"),
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


def holds_bytes(of: Any) -> bool:
    """Whether a member, of any model in the type ``of``, is bytes."""
    if isinstance(of, type) and issubclass(of, BaseModel):
        return any(holds_bytes(fields.annotation) for fields in of.model_fields.values())
    return of is bytes or any(map(holds_bytes, get_args(of)))


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


Shape: TypeAlias = Callable[[Any], Any]
"""Makes a value of one type of a plain value."""


def shaper(of: ValueType, json_texts: Collection[str] = ()) -> Shape:
    """A function that makes a value of the type ``of`` of a plain one.

    It raises ``HostCallError`` for a part that the type needs and the plain value lacks.
    """
    return _shaper(of, json_texts) or _unchanged


def _unchanged(value: Any) -> Any:
    return value


def _shaper(of: ValueType, json_texts: Collection[str]) -> Shape | None:
    """``None`` for a type whose values are the plain ones."""
    match of.kind:
        case "option" if of.element is not None:
            return _option_shaper(_shaper(of.element, json_texts))
        case "list" if of.element is not None and of.element.kind != "u8":
            return _list_shaper(of.element, json_texts)
        case "record":
            return _record_shaper(of, json_texts)
        case "enum":
            return _enum_shaper(of.names)
        case _:
            return None


def _option_shaper(shape: Shape | None) -> Shape | None:
    return None if shape is None else lambda value: None if value is None else shape(value)


def _list_shaper(element: ValueType, json_texts: Collection[str]) -> Shape:
    shape = shaper(element, json_texts)

    def shape_list(value: Any) -> list[Any]:
        if isinstance(value, list):
            return [shape(item) for item in value]
        if element.kind == "tuple" and isinstance(value, Mapping):
            return sorted(value.items())
        raise _unknown("a list where the host has another value")

    return shape_list


def _enum_shaper(names: tuple[str, ...]) -> Shape:
    def shape_enum(value: Any) -> Any:
        if value in names:
            return value
        raise _unknown(f"the case {value!r} of an enum that has {', '.join(names)}")

    return shape_enum


def _record_shaper(of: ValueType, json_texts: Collection[str]) -> Shape:
    members = []
    for name, member in of.fields:
        plain = camel(name)
        shape = _json_text if plain in json_texts else _shaper(member, json_texts)
        members.append((name, plain, member.kind == "option", shape))

    def shape_record(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _unknown("a record where the host has another value")
        get, made = value.get, {}
        for name, plain, optional, shape in members:
            member = get(plain)
            if member is None and not optional:
                raise _unknown(f"a member {name}, which the host has no value for")
            made[name] = member if shape is None or member is None else shape(member)
        return made

    return shape_record


_json_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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


def outcomes(
    of: ValueType | None, json_texts: Collection[str] = (), member: str | None = None
) -> Callable[[Mapping[str, Any]], Any]:
    """A function that makes the result of a function, which has the type ``of``, of an operation's envelope.

    ``member`` is what the function answers of the operation's output, if not the whole of it. A ``result`` takes the
    value or the case of its error that is nearest to the code; a value that is absent, where its type has no place for
    that, is the error ``not-found``. A record with ``success`` takes both; a list without an error is empty. It raises
    ``HostCallError`` for a value or an error that the type cannot say.
    """
    if of is None:
        return lambda _: None
    if of.kind == "record" and any(name == "success" for name, _ in of.members):
        return _record_outcomes(of, json_texts)
    is_result = of.kind == "result"
    element = of.element if is_result else of
    shape, failed = (lambda _: None) if element is None else shaper(element, json_texts), of.error
    may_be_absent = element is None or element.kind == "option"

    def outcome(reply: Mapping[str, Any]) -> Any:
        error = reply.get("err")
        if error is None:
            plain = reply["ok"] if member is None else reply["ok"].get(member)
            if plain is None and failed is not None and not may_be_absent:
                return "err", _error(failed, _ABSENT)
            value = shape(plain)
            return ("ok", value) if is_result else value
        if is_result:
            return "err", None if failed is None else _error(failed, error)
        return [] if of.kind == "list" else None

    return outcome


def _record_outcomes(of: ValueType, json_texts: Collection[str]) -> Callable[[Mapping[str, Any]], Any]:
    succeeded, failed = shaper(of, json_texts), shaper(of, {"fieldErrors"})
    has_field_errors = any(name == "field-errors" for name, _ in of.fields)

    def outcome(reply: Mapping[str, Any]) -> Any:
        error = reply.get("err")
        if error is None:
            return succeeded({"success": True, **(reply.get("ok") or {})})
        text, field_errors = error["message"], error.get("fieldErrors")
        if field_errors and not has_field_errors:
            text += f" ({'; '.join(f'{field}: {fault}' for field, fault in field_errors.items())})"
        return failed({"success": False, "error": text, "fieldErrors": field_errors})

    return outcome


_ABSENT = {"code": HostCallCode.NOT_FOUND.value, "message": "Not found"}


def _error(of: ValueType, error: Mapping[str, Any]) -> object:
    if of.kind == "string":
        return error["message"]
    cases = of.names if of.kind == "enum" else tuple(name for name, value in of.members if value is None)
    code = error["code"]
    nearest = (code, *_NEAREST.get(code, ()), "internal", "not-available")
    case = next((case for case in nearest if case in cases), cases[-1] if cases else None)
    return case if of.kind == "enum" else (case, None)
