"""AssemblyScript's ``env``: what its standard library imports is there, decoded."""

from __future__ import annotations

import math
import struct

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
def number(observe, guest_wat):
    """The f64 that an ``env`` function gives for f64 arguments."""

    async def run(name: str, *arguments: float, result: str = "f64") -> float:
        head = b"\x82\xa6status\xcc\xc8\xa4body\xc4\x08"
        start = 4096 - len(head)
        pushed = " ".join(f"(f64.const {_wat(argument)})" for argument in arguments)
        value = f"(call $f {pushed})" if result == "f64" else f"(f64.promote_f32 (call $f {pushed}))"
        escaped = "".join(f"\\{byte:02x}" for byte in head)
        guest = guest_wat(
            f"(f64.store (i32.const 4096) {value}) (call $respond (i32.const {start}) (i32.const {len(head) + 8}))",
            imports=f'(import "env" "{name}" (func $f (param {"f64 " * len(arguments)}) (result {result})))',
            module=f'(data (i32.const {start}) "{escaped}")',
        )
        observation = await observe(guest)
        assert observation.error is None
        return struct.unpack("<d", observation.response.body())[0]

    return run


def _wat(value: float) -> str:
    return str(value) if math.isfinite(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("Math.floor", (-1.5,), -2.0),
        ("Math.floor", (math.inf,), math.inf),
        ("Math.round", (2.5,), 3.0),
        ("Math.round", (-2.5,), -2.0),
        ("Math.trunc", (-1.9,), -1.0),
        ("Math.sqrt", (-1.0,), math.nan),
        ("Math.log", (0.0,), -math.inf),
        ("Math.log", (-1.0,), math.nan),
        ("Math.exp", (1000.0,), math.inf),
        ("Math.sign", (-3.0,), -1.0),
        ("Math.clz32", (1.0,), 31.0),
        ("Math.clz32", (0.0,), 32.0),
        ("Math.imul", (4294967295.0, 5.0), -5.0),
        ("Math.min", (1.0, math.nan), math.nan),
        ("Math.max", (1.0, 2.0), 2.0),
        ("Math.pow", (2.0, 10.0), 1024.0),
        ("Math.pow", (0.0, -1.0), math.inf),
        ("Math.pow", (-0.0, -3.0), -math.inf),
        ("Math.pow", (-2.0, 1025.0), -math.inf),
        ("Math.pow", (-2.0, 0.5), math.nan),
        ("Math.pow", (1.0, math.inf), math.nan),
        ("Math.atanh", (-1.0,), -math.inf),
        ("Math.log1p", (-1.0,), -math.inf),
        ("Math.atan2", (0.0, -1.0), math.pi),
    ],
)
async def test_mathematics_is_javascript_s(
    number, function: str, arguments: tuple[float, ...], expected: float
):
    value = await number(function, *arguments)

    assert math.isnan(value) if math.isnan(expected) else value == expected


async def test_fround_gives_the_nearest_single(number):
    assert await number("Math.fround", 0.1, result="f32") == struct.unpack("<f", struct.pack("<f", 0.1))[0]


async def test_date_now_is_in_milliseconds(number):
    assert 1.7e12 < await number("Date.now") < 1e14


async def test_seeds_differ(number):
    assert await number("seed") != await number("seed")


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("console.log", "info"),
        ("console.debug", "debug"),
        ("console.info", "info"),
        ("console.warn", "warn"),
        ("console.error", "error"),
    ],
)
async def test_the_console_is_the_guest_s_log(observe, guest_wat, as_text, name: str, level: str):
    guest = guest_wat(
        "(call $log (i32.const 1028))",
        imports=f'(import "env" "{name}" (func $log (param i32)))',
        data=as_text("schöne Grüße"),
    )

    observation = await observe(guest)

    assert [(line.level, line.message) for line in observation.log] == [(level, "schöne Grüße")]


async def test_a_trace_shows_its_numbers(observe, guest_wat, as_text):
    guest = guest_wat(
        "(call $trace (i32.const 1028) (i32.const 2) (f64.const 1) (f64.const 2.5)"
        " (f64.const 0) (f64.const 0) (f64.const 0))",
        imports='(import "env" "trace" (func $trace (param i32 i32 f64 f64 f64 f64 f64)))',
        data=as_text("here"),
    )

    observation = await observe(guest)

    assert [(line.level, line.message) for line in observation.log] == [("debug", "here 1 2.5")]


async def test_an_assertion_that_holds_says_nothing(observe, guest_wat, as_text):
    imports = '(import "env" "console.assert" (func $assert (param i32 i32)))'
    handler = "(call $assert (i32.const {}) (i32.const 1028))"

    holds = await observe(guest_wat(handler.format(1), imports=imports, data=as_text("no")))
    fails = await observe(guest_wat(handler.format(0), imports=imports, data=as_text("no")))

    assert holds.log == ()
    assert [line.message for line in fails.log] == ["Assertion failed: no"]


async def test_a_text_with_a_lone_surrogate_is_mended(observe, guest_wat):
    guest = guest_wat(
        "(call $log (i32.const 1028))",
        imports='(import "env" "console.log" (func $log (param i32)))',
        data=struct.pack("<IH", 2, 0xD800),
    )

    observation = await observe(guest)

    assert [line.message for line in observation.log] == ["\ufffd"]
