"""A guest that approaches a limit by an unusual way meets it there, too, with the limit's own code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alga_runner import Settings, errors

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
YIELD = '(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))'


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("(table 20001 funcref)", id="one element too many"),
        pytest.param("(table 20001 externref)", id="of references to the host"),
        pytest.param("(table 4294967295 funcref)", id="all that 32 bits count"),
        pytest.param("(table 1 funcref) (table 1 funcref)", id="a second table"),
    ],
)
async def test_tables_that_take_too_much_are_refused_before_anything_runs(observe, guest_wat, module: str):
    observation = await observe(guest_wat(module=module))

    assert observation.error.code == "table_limit"


async def test_a_table_grows_to_its_limit_and_not_beyond(observe, guest_wat):
    handler = """
        (if (i32.ne (table.grow (ref.null func) (i32.const 19999)) (i32.const 1)) (then unreachable))
        (if (i32.ne (table.grow (ref.null func) (i32.const 1)) (i32.const -1)) (then unreachable))
        (call $respond (i32.const 0) (global.get $ok))"""

    observation = await observe(guest_wat(handler, module="(table 1 funcref)"))

    assert observation.response is not None


async def test_a_full_table_leaves_the_memory_its_limit(observe, guest_wat):
    """Table and memory have a bound each, so together they have the sum."""
    handler = """
        (if (i32.eq (memory.grow (i32.const 63)) (i32.const -1)) (then unreachable))
        (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (call $respond (i32.const 0) (global.get $ok))"""

    observation = await observe(guest_wat(handler, module="(table 20000 funcref)"))

    assert observation.response is not None


@pytest.mark.parametrize(
    "guest",
    [
        pytest.param(
            {"module": "(func $f (call $f) (drop (i32.const 1))) (start $f)"}, id="in the start function"
        ),
        pytest.param(
            {
                "module": "(func $a (call $b) (drop (i32.const 1))) (func $b (call $a) (drop (i32.const 2)))",
                "handler": "(call $a)",
            },
            id="of two functions",
        ),
        pytest.param(
            {
                "module": """(table 1 funcref) (elem (i32.const 0) $f)
                    (func $f (call_indirect (i32.const 0)) (drop (i32.const 1)))""",
                "handler": "(call $f)",
            },
            id="through a table",
        ),
        pytest.param(
            {
                "imports": YIELD,
                "module": "(func $f (drop (call $yield)) (call $f) (drop (i32.const 1)))",
                "handler": "(call $f)",
            },
            id="with a host call at every depth",
        ),
    ],
)
async def test_endless_recursion_ends_at_the_stack_however_it_goes(observe, guest_wat, guest):
    observation = await observe(guest_wat(**guest))

    assert observation.error.code in {"stack_limit", "host_call_limit"}
    assert (await observe(guest_wat())).response is not None, "the runner must survive"


def test_every_limit_of_a_guest_is_listed_with_its_setting_and_its_code():
    text = (ROOT / "docs" / "limits.md").read_text("utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    codes = set(re.findall(r"`([a-z_]+)`", "".join(row[2] for row in rows if len(row) > 2)))
    settings = set(re.findall(r"`([a-z_]+)`", "".join(row[1] for row in rows)))

    assert {leaf.code for leaf in errors.LimitExceeded.__subclasses__()} <= codes
    assert settings <= set(Settings.model_fields)
