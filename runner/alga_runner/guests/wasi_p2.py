"""WASI preview 2, the host's own: enough for a language's runtime, nothing of the machine (docs/components.md, WASI).

Clock, random, stdout and stderr as log lines, exit, and waiting for clocks. No files, no sockets, no HTTP, no
arguments, no environment. A function that is not here is refused by an error of its own where it has one that means no;
any other ends the guest that calls it.

wasmtime's WASI is never linked: it aborts the process on a sleep, and its HTTP knows no policy
(docs/design/components.md, Hazards).
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

import anyio

from ..engine import ComponentImport, Offer, ValueType
from ..errors import GuestExit, HostCallLimit, ResourceLimit
from .component_session import LARGE_BODY_BYTES, ComponentSession

PACKAGE = "wasi:"

MAX_RESOURCES = 1_000
"""Pollables that one guest may hold."""

_MAX_BYTES = 64 * 1024
"""Of random bytes and of one write."""

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_FIRST_POLLABLE = 16
"""Numbers of resources: the streams have those of their descriptors."""

_Answer = Callable[..., Any]


def dropped(session: ComponentSession, number: int) -> None:
    """Forget a resource that the guest dropped."""
    session.pollables.pop(number, None)


def _exit(_session: ComponentSession, status: tuple[str, None]) -> None:
    raise GuestExit(f"The guest exited with status {0 if status[0] == 'ok' else 1}.")


def _exit_with_code(_session: ComponentSession, status: int) -> None:
    raise GuestExit(f"The guest exited with status {status}.")


def _pollable(session: ComponentSession, until_ns: int) -> int:
    """A pollable that is ready at ``until_ns`` of the monotonic clock."""
    if len(session.pollables) >= MAX_RESOURCES:
        raise ResourceLimit(f"The guest holds more than {MAX_RESOURCES} pollables.")
    session.last_pollable = max(_FIRST_POLLABLE, session.last_pollable + 1)
    session.pollables[session.last_pollable] = until_ns
    return session.last_pollable


def _subscribe(session: ComponentSession, _stream: int) -> int:
    return _pollable(session, 0)


def _ready(session: ComponentSession, pollable: int) -> bool:
    return session.pollables.get(pollable, 0) <= session.monotonic_ns()


async def _poll(session: ComponentSession, pollables: list[int]) -> list[int]:
    """Wait for the first of ``pollables``; the guest stays suspended, within the execution's deadline."""
    times = [session.pollables.get(pollable, 0) for pollable in pollables]
    if not times:  # WASI has this trap
        raise GuestExit("The guest waited for nothing: it polled an empty list.")
    earliest = min(times)
    if (wait_ns := earliest - session.monotonic_ns()) > 0:
        await anyio.sleep(wait_ns / 1e9)
    now = max(session.monotonic_ns(), earliest)
    return [place for place, time in enumerate(times) if time <= now]


async def _block(session: ComponentSession, pollable: int) -> None:
    await _poll(session, [pollable])


def _closed(*_: object) -> tuple[str, tuple[str, None]]:
    return "err", ("closed", None)


async def _write(session: ComponentSession, stream: int, data: bytes) -> tuple[str, object]:
    if stream not in (_STDOUT, _STDERR):
        return _closed()
    await session.write(stream, data)
    return "ok", None


def _ok(*_: object) -> tuple[str, None]:
    return "ok", None


def _nothing(*_: object) -> None:
    return None


def _empty(*_: object) -> list[Any]:
    return []


def _time(nanoseconds: int) -> dict[str, int]:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return {"seconds": seconds, "nanoseconds": rest}


async def _random(session: ComponentSession, length: int) -> bytes:
    """Answered while the guest waits: to give a component a list takes 48 bytes of memory for each of its bytes."""
    if length > _MAX_BYTES:
        raise HostCallLimit(
            f"The guest asked for {length} random bytes in one call; {_MAX_BYTES} are allowed."
        )
    if length >= LARGE_BODY_BYTES:
        session.guest.large = True
    return session.random(length)


def _random_u64(session: ComponentSession) -> int:
    return int.from_bytes(session.random(8), "little")


_ANSWERS: dict[str, dict[str, _Answer]] = {
    "wasi:cli/environment": {
        "get-environment": _empty,
        "get-arguments": _empty,
        "initial-cwd": _nothing,
    },
    "wasi:cli/exit": {"exit": _exit, "exit-with-code": _exit_with_code},
    "wasi:cli/stdin": {"get-stdin": lambda _: _STDIN},
    "wasi:cli/stdout": {"get-stdout": lambda _: _STDOUT},
    "wasi:cli/stderr": {"get-stderr": lambda _: _STDERR},
    "wasi:cli/terminal-stdin": {"get-terminal-stdin": _nothing},
    "wasi:cli/terminal-stdout": {"get-terminal-stdout": _nothing},
    "wasi:cli/terminal-stderr": {"get-terminal-stderr": _nothing},
    "wasi:clocks/wall-clock": {
        "now": lambda session: _time(session.clock_ns()),
        "resolution": lambda _: _time(1),
    },
    "wasi:clocks/monotonic-clock": {
        "now": lambda session: session.monotonic_ns(),
        "resolution": lambda _: 1,
        "subscribe-instant": _pollable,
        "subscribe-duration": lambda session, wait_ns: _pollable(session, session.monotonic_ns() + wait_ns),
    },
    "wasi:random/random": {"get-random-bytes": _random, "get-random-u64": _random_u64},
    "wasi:random/insecure": {"get-insecure-random-bytes": _random, "get-insecure-random-u64": _random_u64},
    "wasi:random/insecure-seed": {
        "insecure-seed": lambda session: (_random_u64(session), _random_u64(session))
    },
    "wasi:io/poll": {
        "poll": _poll,
        "[method]pollable.ready": _ready,
        "[method]pollable.block": _block,
    },
    "wasi:io/error": {"[method]error.to-debug-string": lambda *_: "error"},
    "wasi:io/streams": {
        "[method]input-stream.read": _closed,
        "[method]input-stream.blocking-read": _closed,
        "[method]input-stream.skip": _closed,
        "[method]input-stream.blocking-skip": _closed,
        "[method]input-stream.subscribe": _subscribe,
        "[method]output-stream.check-write": lambda *_: ("ok", _MAX_BYTES),
        "[method]output-stream.write": _write,
        "[method]output-stream.blocking-write-and-flush": _write,
        "[method]output-stream.flush": _ok,
        "[method]output-stream.blocking-flush": _ok,
        "[method]output-stream.subscribe": _subscribe,
    },
    "wasi:filesystem/preopens": {"get-directories": _empty},
    "wasi:filesystem/types": {"filesystem-error-code": _nothing},
    "wasi:http/types": {"http-error-code": _nothing},
}
"""What each function answers, with the types of every 0.2 version."""

_TAKES: dict[str, tuple[str, ...]] = {
    "exit": ("result",),
    "exit-with-code": ("u8",),
    "subscribe-instant": ("u64",),
    "subscribe-duration": ("u64",),
    "get-random-bytes": ("u64",),
    "get-insecure-random-bytes": ("u64",),
    "poll": ("list<borrow>",),
    "[method]pollable.ready": ("borrow",),
    "[method]pollable.block": ("borrow",),
    "[method]error.to-debug-string": ("borrow",),
    "[method]input-stream.read": ("borrow", "u64"),
    "[method]input-stream.blocking-read": ("borrow", "u64"),
    "[method]input-stream.skip": ("borrow", "u64"),
    "[method]input-stream.blocking-skip": ("borrow", "u64"),
    "[method]input-stream.subscribe": ("borrow",),
    "[method]output-stream.check-write": ("borrow",),
    "[method]output-stream.write": ("borrow", "list<u8>"),
    "[method]output-stream.blocking-write-and-flush": ("borrow", "list<u8>"),
    "[method]output-stream.flush": ("borrow",),
    "[method]output-stream.blocking-flush": ("borrow",),
    "[method]output-stream.subscribe": ("borrow",),
    "filesystem-error-code": ("borrow",),
    "http-error-code": ("borrow",),
}
"""The types of the parameters of those functions that have any. A function of other types is not answered."""

_GIVES = {
    "get-stdin": "input-stream",
    "get-stdout": "output-stream",
    "get-stderr": "output-stream",
    "subscribe-instant": "pollable",
    "subscribe-duration": "pollable",
    "[method]input-stream.subscribe": "pollable",
    "[method]output-stream.subscribe": "pollable",
}
"""The resource that a function's result is."""

_REFUSALS = ("access-denied", "not-supported", "unsupported", "HTTP-request-denied", "access", "closed")
"""Cases of WASI's error types that mean no."""


def offer(imported: ComponentImport) -> Offer | None:
    """What answers a function of WASI: the host, a refusal by its own error type, or nothing."""
    answer = _ANSWERS[imported.interface][imported.name] if is_answered(imported) else _refusal(imported)
    if answer is None:
        return None
    return Offer(answer, suspends=iscoroutinefunction(answer), resource=_GIVES.get(imported.name, ""))


def _refusal(imported: ComponentImport) -> _Answer | None:
    result = imported.type.result if imported.type else None
    if result is None or result.kind != "result" or result.error is None:
        return None
    refused = _refused(result.error)
    return None if refused is None else lambda *_: ("err", refused)


def _refused(error: ValueType) -> object | None:
    if error.kind == "enum":
        return next((case for case in _REFUSALS if case in error.names), None)
    if error.kind == "variant":
        plain = {name for name, value in error.members if value is None}
        return next(((case, None) for case in _REFUSALS if case in plain), None)
    return None


def is_answered(imported: ComponentImport) -> bool:
    """Whether the host carries the function out, rather than to refuse it."""
    if imported.type is None or imported.name not in _ANSWERS.get(imported.interface, {}):
        return False
    return tuple(str(param) for _, param in imported.type.params) == _TAKES.get(imported.name, ())
