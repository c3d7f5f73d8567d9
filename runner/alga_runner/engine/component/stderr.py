"""Reads why a guest died from what its language's runtime wrote to stderr before, or from its stack.

QuickJS panics in Rust with the exception in Rust's notation, SpiderMonkey prints message and stack, CPython a
traceback, Go a panic and its goroutines. Each becomes the exception, then its stack, without the runtime's own words
around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ...frames import Frame

MAX_CHARACTERS = 2_000
"""Of a reason and its stack together."""


_MAX_CAUSES = 5


class Reason(NamedTuple):
    """Why a guest died: the exception in a line or more, and the indented lines of its stack, the innermost first."""

    message: str
    stack: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Both, the stack cut to what fits."""
        text = "\n".join((self.message[:MAX_CHARACTERS], *self.stack))
        return (
            text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS].rpartition("\n")[0] + "\n    ..."
        )

    @property
    def is_memory(self) -> bool:
        """Whether the guest had no memory left."""
        return _MEMORY.match(self.message) is not None


_MEMORY = re.compile(
    r'(?i)(?:(?:fatal error|runtime|panic|panic: runtime error): |")?out of memory'
    r"|memory allocation of \d+ bytes failed|MemoryError\b"
)
_NOISE = re.compile(
    r"(?m)^(?:note: run with `RUST_BACKTRACE=1`.*|Redirecting call to abort\(\) to mozalloc_abort)$"
)
_PANIC = re.compile(r"(?:^|\n)thread '[^'\n]*'(?: \(\d+\))? panicked at [^\n]*:\n")
_TEXT = r'(?:Some\("((?:[^"\\]|\\.)*)"\)|None)'
_QUICKJS = re.compile(rf"Exception\(Exception {{ message: {_TEXT}, stack: {_TEXT} }}\)", re.DOTALL)
_QUICKJS_VALUE = re.compile(
    r"Failed to call '[^'\n]*': Value\((?:String\(Ok\(\"((?:[^\"\\]|\\.)*)\"\)\)\)|(\w*))", re.DOTALL
)
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]{1,6})\}|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_TRACEBACK = "Traceback (most recent call last):\n"
_PYTHON_PANIC = "Python function threw an unexpected exception"
_PYTHON_RESULT = ("PyErr { type: ", ", value: ", ", traceback: ")
_PYTHON_MEMORY = "\nobject type name: MemoryError\n"
_GO = re.compile(r"(?m)^(?:panic|fatal error): ")
_GOROUTINE = re.compile(r"\n\n(?=goroutine \d+ )")
_QUICKJS_RESULT = re.compile(r'(expected [^:\n]*): FromJs \{ from: "([^"]*)"')
_BETWEEN = re.compile(r"\n\n(?:The above exception was|During handling of the above)")
_GLUE = ("export_", "/initializer.js:")


_ALLOCATES = re.compile(
    r"(?:^|::)(?:cabi_realloc|handle_alloc_error|alloc_error_handler|__rust_alloc_error_handler|__rdl_oom|__rg_oom"
    r"|rust_oom|mozalloc_handle_oom|AutoEnterOOMUnsafeRegion|PyErr_NoMemory)\b"
)
"""Functions of languages' runtimes that a guest traps in when it has no memory left."""

_INNERMOST = 12


def failed_allocation(frames: Sequence[Frame]) -> str | None:
    """The function of a language's runtime in which a guest that reached unreachable code had no memory left."""
    return next((of.function for of in frames[:_INNERMOST] if _ALLOCATES.search(of.function)), None)


def read_reason(stderr: str) -> Reason | None:
    """Why the guest died, from the end of what it wrote; ``None`` if it wrote nothing."""
    text = _NOISE.sub("", stderr).strip()
    before, said = text, ""
    if panics := list(_PANIC.finditer(text)):
        before, said = text[: panics[-1].start()].strip(), text[panics[-1].end() :].strip()
    if said.startswith(_PYTHON_PANIC):
        return _of_python(before)
    if _MEMORY.match(last := before.rpartition("\n")[2]):  # CPython's error, and then PyO3's panic
        return Reason(last.rstrip(": "))
    if said:
        return _of_panic(said)
    if (panic := _of_go(text)) and not _MEMORY.match(text):
        return panic
    return _of_spidermonkey(text) if text else None


def _of_go(text: str) -> Reason | None:
    """A panic of Go's, with the goroutine in which it was: functions and, in the lines after them, their places."""
    starts = [match.start() for match in _GO.finditer(text)]
    message, *goroutines = _GOROUTINE.split(text[starts[-1] :]) if starts else [""]
    if not goroutines:
        return None
    stack, function = [], ""
    for line in goroutines[0].partition("\n\n")[0].splitlines()[1:]:
        if line.startswith("\t"):
            stack.append(f"    {function} at {line.strip().partition(' +0x')[0]}")
        else:
            function = line if line.startswith("created by ") else line.rpartition("(")[0]
    return Reason(message, tuple(stack))


def _of_panic(said: str) -> Reason:
    if exception := _QUICKJS.search(said):
        message, stack = (_unescaped(part or "") for part in exception.groups())
        return Reason(message or "an exception without a message", _lines(stack))
    if thrown := _QUICKJS_VALUE.search(said):
        other = f"it threw a value of the type {thrown[2]}"
        return Reason(other if thrown[1] is None else _unescaped(thrown[1]))
    if result := _QUICKJS_RESULT.match(said):
        return Reason(f"its result has a value of another type: {result[1]}, not {result[2]}")
    kind, value, traceback = _PYTHON_RESULT
    _, is_python, failure = said.partition(kind)
    if is_python:
        error = failure.partition(value)[2].rpartition(traceback)[0]
        return Reason(f"its result has a value of another type: {error}")
    return Reason(said)


def _of_spidermonkey(text: str) -> Reason:
    message, _, stack = text.partition("\nStack:\n")
    name, script = _GLUE
    lines = [
        line
        for line in stack.replace("\nStack:\n", "\n").splitlines()
        if not (line.lstrip().startswith(name) and script in line)
    ]
    return Reason(message[-MAX_CHARACTERS:], _lines("\n".join(lines)))


def _of_python(text: str) -> Reason:
    *causes, last = (_of_traceback(part) for part in _tracebacks(text))
    stack = last.stack
    for cause in reversed(causes):
        stack += (f"  Caused by: {cause.message}", *cause.stack)
    return Reason(last.message, stack)


def _tracebacks(text: str) -> list[str]:
    before, *parts = text.split(_TRACEBACK)
    return parts[-_MAX_CAUSES:] or [before]  # the kept end of stderr may begin within a traceback


def _of_traceback(text: str) -> Reason:
    """One traceback: indented lines, the innermost last, then the exception, which may have several lines."""
    lines = text.splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    end = frames[-1] + 1 if frames else 0
    while end < len(lines) and lines[end].startswith("  "):
        end += 1
    message = _BETWEEN.split("\n".join(lines[end:]))[0].strip()
    if _PYTHON_MEMORY in text:
        message = "MemoryError"
    places = [lines[number].strip() for number in reversed(frames)]
    return Reason(message or "an exception without a message", tuple(f"    {place}" for place in places))


def _lines(stack: str) -> tuple[str, ...]:
    return tuple(f"    {line.strip()}" for line in stack.splitlines() if line.strip())


def _unescaped(text: str) -> str:
    """A Rust string in Rust's notation, read."""

    def one(escape: re.Match[str]) -> str:
        code = int(escape[1], 16) if escape[1] else None
        if code is None:
            return _ESCAPED.get(escape[2], escape[2])
        return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"

    return _ESCAPE.sub(one, text)
