"""AssemblyScript's ``env``: what its compiler imports for aborts, traces, the console, clocks and mathematics."""

from __future__ import annotations

import math
import os
import random
import struct
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from ..errors import AbiBreach, GuestAbort, GuestExit, LimitExceeded
from .abi import Import, host_import
from .session import Session
from .wasi import MAX_RANDOM_BYTES, QUICK_RANDOM_BYTES

MODULE = "env"
_LENGTH_BEFORE = 4
_MAX_ABORT_CHARACTERS = 1_000
_MAX_FILE_CHARACTERS = 200
_MAX_TEXT_BYTES = 64 * 1024
_u32 = struct.Struct("<I")
_f32 = struct.Struct("<f")


def read_text(session: Session, name: str, pointer: int) -> str:
    """The string at ``pointer``: UTF-16, its length in bytes in the four bytes before it; null is empty."""
    if pointer < _LENGTH_BEFORE:
        return ""
    (length,) = _u32.unpack(session.read(name, pointer - _LENGTH_BEFORE, _LENGTH_BEFORE))
    session.check_range(name, pointer, length)
    data = session.read(name, pointer, min(length, _MAX_TEXT_BYTES) & ~1)
    return data.decode("utf-16-le", "replace")


def _abort(session: Session, message: int, file: int, line: int, column: int) -> None:
    text = _abort_text(session, message, _MAX_ABORT_CHARACTERS) or "no message"
    place = _abort_text(session, file, _MAX_FILE_CHARACTERS)
    where = f" at {place}:{line}:{column}" if place else ""
    end = "" if text.endswith((".", "!", "?")) else "."
    raise GuestAbort(
        f"The guest aborted{where}: {text}{end}",
        file=place or None,
        line=line if place else None,
        column=column if place else None,
    )


def _abort_text(session: Session, pointer: int, limit: int) -> str:
    """The text of an abort, as far as it can be read: the abort ends the guest, not a fault in its text."""
    try:
        text = read_text(session, "abort", pointer)
    except (AbiBreach, LimitExceeded):
        return "(unreadable)"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _seed(_session: Session) -> float:
    return random.SystemRandom().random()


async def _trace(session: Session, message: int, count: int, *numbers: float) -> None:
    shown = " ".join(f"{number:g}" for number in numbers[: min(count, len(numbers))])
    await _log(session, "debug", f"{read_text(session, 'trace', message)} {shown}".rstrip())


async def _log(session: Session, level: str, text: str) -> None:
    await session.log.line(session, level, text)


async def _console(level: str, session: Session, message: int) -> None:
    await _log(session, level, read_text(session, "console", message))


async def _console_assert(session: Session, condition: int, message: int) -> None:
    if not condition:
        await _log(session, "error", f"Assertion failed: {read_text(session, 'console.assert', message)}")


async def _console_timer(what: str, session: Session, label: int) -> None:
    await _log(session, "debug", f"{read_text(session, 'console.time', label)}: {what}")


def _date_now(session: Session) -> float:
    return float(session.clock_ns() // 1_000_000)


def _performance_now(_session: Session) -> float:
    return time.monotonic_ns() / 1e6


def _exit(session: Session, status: int) -> None:
    session.exit_status = status
    raise GuestExit(f"The guest exited with status {status}.")


def _random_values(session: Session, pointer: int, length: int) -> Coroutine[Any, Any, None] | None:
    session.check_range("crypto.getRandomValuesN", pointer, length)
    if length > QUICK_RANDOM_BYTES:
        return _many_random_values(session, pointer, length)
    session.write("crypto.getRandomValuesN", pointer, os.urandom(length))
    return None


async def _many_random_values(session: Session, pointer: int, length: int) -> None:
    session.write("crypto.getRandomValuesN", pointer, os.urandom(min(length, MAX_RANDOM_BYTES)))


def _number(function: Callable[..., float], _session: Session, *arguments: float) -> float:
    """As JavaScript's Math: outside a function's domain is NaN, beyond a number's range infinity."""
    try:
        return float(function(*arguments))
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def _fround(value: float) -> float:
    """The nearest float of 32 bits; one that has none that large is infinite."""
    try:
        rounded: float = _f32.unpack(_f32.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return rounded


def _round(value: float) -> float:
    return value if not math.isfinite(value) else math.floor(value + 0.5)


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value and not math.isnan(value) else value


def _signed_32(value: float) -> int:
    number = int(value) & 0xFFFFFFFF if math.isfinite(value) else 0
    return number - (1 << 32) if number >> 31 else number


def _leading_zeros(value: float) -> int:
    return 32 - (_signed_32(value) & 0xFFFFFFFF).bit_length()


def _whole(function: Callable[[float], int], value: float) -> float:
    return function(value) if math.isfinite(value) else value


def _logarithm(function: Callable[[float], float], value: float) -> float:
    return -math.inf if value == 0 else function(value)


def _log1p(value: float) -> float:
    return -math.inf if value == -1 else math.log1p(value)


def _atanh(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) == 1 else math.atanh(value)


def _pow(base: float, exponent: float) -> float:
    """Like C's, but for what ECMAScript has otherwise: 1 to an unbounded power, and overflow's sign."""
    if math.isnan(exponent) or (abs(base) == 1 and math.isinf(exponent)):
        return math.nan
    odd = math.isfinite(exponent) and exponent % 2 == 1
    unbounded = math.copysign(math.inf, base) if odd else math.inf
    if base == 0 and exponent < 0:
        return unbounded
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return unbounded


def _min_max(function: Callable[[float, float], float], left: float, right: float) -> float:
    return math.nan if math.isnan(left) or math.isnan(right) else function(left, right)


_UNARY: dict[str, Callable[[float], float]] = {
    **{
        name: getattr(math, name)
        for name in ("acos", "acosh", "asin", "asinh", "atan", "cbrt", "cos", "cosh", "exp")
    },
    **{name: getattr(math, name) for name in ("expm1", "sin", "sinh", "sqrt", "tan", "tanh")},
    "abs": math.fabs,
    "atanh": _atanh,
    "ceil": partial(_whole, math.ceil),
    "clz32": _leading_zeros,
    "floor": partial(_whole, math.floor),
    "log": partial(_logarithm, math.log),
    "log10": partial(_logarithm, math.log10),
    "log1p": _log1p,
    "log2": partial(_logarithm, math.log2),
    "round": _round,
    "sign": _sign,
    "trunc": partial(_whole, math.trunc),
}

_BINARY: dict[str, Callable[[float, float], float]] = {
    "atan2": math.atan2,
    "hypot": math.hypot,
    "imul": lambda left, right: float(_signed_32(_signed_32(left) * _signed_32(right))),
    "max": partial(_min_max, max),
    "min": partial(_min_max, min),
    "pow": _pow,
}


def _imports() -> tuple[Import, ...]:
    declared: list[tuple[str, str, str, Callable[..., object]]] = [
        ("abort", "iiii", "", _abort),
        ("seed", "", "d", _seed),
        ("trace", "iiddddd", "", _trace),
        ("process.exit", "i", "", _exit),
        ("Date.now", "", "d", _date_now),
        ("performance.now", "", "d", _performance_now),
        ("crypto.getRandomValuesN", "ii", "", _random_values),
        ("console.assert", "ii", "", _console_assert),
        ("Math.fround", "d", "f", partial(_number, _fround)),
        ("Math.random", "", "d", _seed),
    ]
    declared += [
        (f"console.{name}", "i", "", partial(_console, level))
        for name, level in (
            ("log", "info"),
            ("debug", "debug"),
            ("info", "info"),
            ("warn", "warn"),
            ("error", "error"),
        )
    ]
    declared += [
        (f"console.{name}", "i", "", partial(_console_timer, what))
        for name, what in (("time", "started"), ("timeLog", "running"), ("timeEnd", "ended"))
    ]
    declared += [(f"Math.{name}", "d", "d", partial(_number, function)) for name, function in _UNARY.items()]
    declared += [
        (f"Math.{name}", "dd", "d", partial(_number, function)) for name, function in _BINARY.items()
    ]
    return tuple(
        host_import(MODULE, name, params, results, answer, early=True, only_if_long=answer is _random_values)
        for name, params, results, answer in declared
    )


ASSEMBLYSCRIPT_IMPORTS: tuple[Import, ...] = _imports()
"""Every function AssemblyScript's standard library may import."""
