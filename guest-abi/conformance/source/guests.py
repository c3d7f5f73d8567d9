"""The texts of the guests: one that carries out scripts, and small ones that are about their own form."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

MAGIC = b"\xc1alga\x00\xfe\xc1"
"""Before a script in the request's body: the guest looks for it, so it needs no decoder."""

MEMORY = 8 * 0x10000
"""Bytes of a probe's memory as it starts."""

FREE = 0x1000
"""Where scripts may write; below ``REQUEST`` nothing else is stored."""

REQUEST, RESPONSE = 0x20000, 0x60000
"""Where a probe has the request's document, and its response, which ends with the transcript."""

LARGEST = RESPONSE - REQUEST
"""Bytes of a request that has room there; for a larger one the probe grows its memory."""

_HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc6"
_LENGTH_AT = RESPONSE + len(_HEAD)
TRANSCRIPT = _LENGTH_AT + 4
LIVE_BYTES = 480
"""Bytes of values that each level of a probe's recursion keeps."""


@dataclass(frozen=True)
class Function:
    """An import, its types in letters: ``i`` and ``I`` for integers of 32 and 64 bits, ``d`` for a float."""

    module: str
    name: str
    params: str
    results: str = ""

    def __str__(self) -> str:
        return f"{self.module} {self.name}"


ABI = (
    Function("alga:abi", "request", "ii", "i"),
    Function("alga:abi", "reply", "ii", "i"),
    Function("alga:abi", "respond", "ii"),
    Function("alga:abi", "fail", "ii"),
    Function("alga:log", "emit", "iii"),
)

_TYPES = {"i": "i32", "I": "i64", "d": "f64"}


def import_text(function: Function, number: int | str) -> str:
    """The import as ``$f`` and ``number``."""
    kinds = [("param", function.params), ("result", function.results)]
    types = "".join(
        f" ({word} {' '.join(_TYPES[kind] for kind in letters)})" for word, letters in kinds if letters
    )
    return f'(import "{function.module}" "{function.name}" (func $f{number}{types}))'


def escaped(data: bytes) -> str:
    """``data`` as a text in WAT."""
    return "".join(f"\\{byte:02x}" for byte in data)


# ---- The probe: a guest that carries out the script in the request's body, and answers with a transcript.

(FINISH, CALL, ASK, SHOW, WRITE, FILL, GROW, SIZE, TRAP, RETURN, REPEAT, RECURSE, SPIN, GROW_TABLE) = range(
    14
)

_PROBE = """(module
  %(imports)s
  (memory (export "memory") 8)
  (table 1 funcref)
  (data (i32.const %(response)d) "%(head)s")
  (global $out (mut i32) (i32.const %(transcript)d))
  (func (export "alga_abi_v1"))

  (func $tag (param $tag i32)
    (i32.store8 (global.get $out) (local.get $tag))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))
  (func $number (param $value i32)
    (i32.store (global.get $out) (local.get $value))
    (global.set $out (i32.add (global.get $out) (i32.const 4))))
  (func $bytes (param $at i32) (param $length i32)
    (call $number (local.get $length))
    (memory.copy (global.get $out) (local.get $at) (local.get $length))
    (global.set $out (i32.add (global.get $out) (local.get $length))))

  (func $deep (param $levels i32) (result i64)
    %(locals)s
    %(load)s
    (if (i32.eqz (local.get $levels)) (then (return (i64.const 0))))
    (call $deep (i32.sub (local.get $levels) (i32.const 1)))
    %(use)s)

  (func $call (param $function i32) (param $a i32) (result i32)
    %(calls)s
    unreachable)

  (func (export "alga_handle") (param $length i32)
    (local $p i32) (local $step i32) (local $times i32) (local $result i32) (local $last i32)
    (local.set $p (i32.const %(request)d))
    (local.set $times (i32.const 1))
    (if (i32.gt_u (local.get $length) (i32.const %(largest)d)) (then
      (local.set $p (i32.shl (memory.size) (i32.const 16)))
      (drop (memory.grow (i32.add (i32.shr_u (local.get $length) (i32.const 16)) (i32.const 1))))))
    (drop (call $f0 (local.get $p) (local.get $length)))
    (loop $look
      (if (i64.ne (i64.load (local.get $p)) (i64.const %(magic)d)) (then
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $look))))
    (local.set $p (i32.add (local.get $p) (i32.const 8)))
    (loop $next
      (local.set $step (i32.load8_u (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (if (i32.le_u (i32.sub (local.get $step) (i32.const %(CALL)d)) (i32.const 1)) (then
        (local.set $last (i32.add (local.get $p) (i32.shl (i32.load8_u offset=1 (local.get $p)) (i32.const 2))))
        (loop $again
          (local.set $result
            (call $call (i32.load8_u (local.get $p)) (i32.add (local.get $p) (i32.const 2))))
          (local.set $times (i32.sub (local.get $times) (i32.const 1)))
          (br_if $again (local.get $times)))
        (local.set $times (i32.const 1))
        (call $tag (i32.sub (local.get $step) (i32.const %(CALL)d)))
        (call $number (local.get $result))
        (local.set $p (i32.add (local.get $last) (i32.const 2)))
        (if (i32.eq (local.get $step) (i32.const %(ASK)d)) (then
          (if (i32.le_u (local.get $result) (i32.load (i32.sub (local.get $p) (i32.const 4))))
            (then (call $bytes (i32.load (i32.sub (local.get $p) (i32.const 8))) (local.get $result)))
            (else (call $number (i32.const 0))))))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(SHOW)d)) (then
        (call $tag (i32.const 2))
        (call $bytes (i32.load (local.get $p)) (i32.load offset=4 (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 8)))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(WRITE)d)) (then
        (memory.copy
          (i32.load (local.get $p)) (i32.add (local.get $p) (i32.const 8)) (i32.load offset=4 (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.add (i32.const 8) (i32.load offset=4 (local.get $p)))))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(FILL)d)) (then
        (memory.fill
          (i32.load (local.get $p)) (i32.load offset=8 (local.get $p)) (i32.load offset=4 (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 12)))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(GROW)d)) (then
        (call $tag (i32.const 0))
        (call $number (memory.grow (i32.load (local.get $p))))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(GROW_TABLE)d)) (then
        (call $tag (i32.const 0))
        (call $number (table.grow (ref.null func) (i32.load (local.get $p))))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(SIZE)d)) (then
        (call $tag (i32.const 0))
        (call $number (memory.size))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(REPEAT)d)) (then
        (local.set $times (i32.load (local.get $p)))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(RECURSE)d)) (then
        (i64.store (i32.const 0) (call $deep (i32.load (local.get $p))))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (br $next)))
      (if (i32.eq (local.get $step) (i32.const %(SPIN)d)) (then (loop $spin (br $spin))))
      (if (i32.eq (local.get $step) (i32.const %(TRAP)d)) (then unreachable))
      (if (i32.eq (local.get $step) (i32.const %(RETURN)d)) (then return)))
    (i32.store8 (i32.const %(length_at)d) (i32.shr_u (call $written) (i32.const 24)))
    (i32.store8 offset=1 (i32.const %(length_at)d) (i32.shr_u (call $written) (i32.const 16)))
    (i32.store8 offset=2 (i32.const %(length_at)d) (i32.shr_u (call $written) (i32.const 8)))
    (i32.store8 offset=3 (i32.const %(length_at)d) (call $written))
    (call $f2 (i32.const %(response)d) (i32.sub (global.get $out) (i32.const %(response)d))))
  (func $written (result i32) (i32.sub (global.get $out) (i32.const %(transcript)d))))
"""


def probe(functions: tuple[Function, ...]) -> str:
    """A guest that can call ``functions``, the first of which are ``ABI``."""
    live = range(LIVE_BYTES // 8)
    values: dict[str, Any] = {
        "imports": "\n  ".join(import_text(function, number) for number, function in enumerate(functions)),
        "locals": " ".join(f"(local $v{number} i64)" for number in live),
        "load": " ".join(f"(local.set $v{n} (i64.load (i32.const {8 * n})))" for n in live),
        "use": " ".join(f"(i64.xor (local.get $v{number}))" for number in live),
        "calls": _calls(functions),
        "head": escaped(_HEAD),
        "request": REQUEST,
        "response": RESPONSE,
        "largest": LARGEST,
        "transcript": TRANSCRIPT,
        "length_at": _LENGTH_AT,
        "magic": struct.unpack("<q", MAGIC)[0],
        **{name: value for name, value in globals().items() if name.isupper() and isinstance(value, int)},
    }
    return _PROBE % values


def _calls(functions: tuple[Function, ...]) -> str:
    labels = " ".join(f"$b{number}" for number in range(len(functions)))
    text = f"(br_table {labels} (local.get $function))"
    for number, function in enumerate(functions):
        loads = [f"(i32.load offset={4 * k} (local.get $a))" for k in range(len(function.params))]
        wide = [
            f"(i64.extend_i32_u {load})" if letter == "I" else load
            for load, letter in zip(loads, function.params, strict=True)
        ]
        call = f"(call $f{number} {' '.join(wide)})"
        text = f"(block $b{number} {text}) (return {call if function.results else f'(i32.const 0) {call}'})"
    return text


# ---- Guests whose form is the point: {status: 200} unless their handler is another one.

RESPOND = import_text(ABI[2], "respond")
HANDLER = "(call $frespond (i32.const 0) (i32.const 10))"
MARKER = '(func (export "alga_abi_v1"))'
MEMORY_EXPORT = '(memory (export "memory") 1)'
STATUS = escaped(b"\x81\xa6status\xcc\xc8")


def small(
    more: str = "",
    *,
    imports: str = "",
    respond: str = RESPOND,
    marker: str = MARKER,
    memory: str = MEMORY_EXPORT,
    handler: str = HANDLER,
    handle: str = "",
    data: bytes = b"",
) -> str:
    """A guest of a few lines: ``data`` is at 64."""
    handle = handle or f'(func (export "alga_handle") (param i32) {handler})'
    stored = f'(data (i32.const 0) "{STATUS}")' + (
        f' (data (i32.const 64) "{escaped(data)}")' if data else ""
    )
    return f"(module {imports} {respond} {memory} {stored if memory else ''} {marker} {handle} {more})"
