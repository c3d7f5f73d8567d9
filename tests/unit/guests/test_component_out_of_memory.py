"""A component that had no memory left is distinguished from one that trapped, wherever its stack shows it."""

from __future__ import annotations

import pytest

from tests.support.component_relay import LIBC
from tests.support.component_world import OK, world_component

pytestmark = pytest.mark.anyio

ALLOCATOR = '(func (export "realloc")'
NAMED = LIBC.replace(ALLOCATOR, '(func $cabi_realloc (export "realloc")')
"""An allocator that has the name that languages give it, and reaches unreachable code where memory does not grow."""

FILLS = "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then (call $fails))) "


def failing(name: str) -> bytes:
    """A component that calls a function of that name once its memory does not grow, under one that calls it."""
    return world_component(
        FILLS + OK, code=f'(func $inner (@name "{name}") unreachable) (func $fails (call $inner))'
    )


async def test_an_allocator_that_fails_for_the_request_is_the_limit_of_memory(observe) -> None:
    component = world_component(libc=NAMED)
    assert ALLOCATOR not in NAMED

    fits = await observe(component, body=bytes(10_000), memory_mb=1)
    too_large = await observe(component, body=bytes(1_000_000), memory_mb=1)

    assert fits.response is not None
    assert too_large.error.code == "memory_limit"
    assert str(too_large.error) == "The guest ran out of memory: it trapped in cabi_realloc"
    assert too_large.error.hint == "See max_memory_mb and limits.memory_mb."
    assert too_large.error.frames


@pytest.mark.parametrize(
    "name",
    [
        "alloc::alloc::handle_alloc_error",
        "__rust_alloc_error_handler",
        "std::alloc::rust_oom",
        "mozalloc_handle_oom",
        "js::AutoEnterOOMUnsafeRegion::crash_impl(char const*)",
        "PyErr_NoMemory",
    ],
)
async def test_a_runtime_that_ends_for_want_of_memory_is_the_limit_of_memory(observe, name: str) -> None:
    observation = await observe(failing(name), memory_mb=1)

    assert observation.error.code == "memory_limit"
    assert name.partition("(")[0] in str(observation.error)


@pytest.mark.parametrize(
    "name", ["abort", "handle_error", "my_cabi_realloc_wrapper", "core::panicking::panic"]
)
async def test_a_trap_in_any_other_function_is_a_trap(observe, name: str) -> None:
    observation = await observe(failing(name), memory_mb=1)

    assert observation.error.code == "guest_trap"


async def test_an_allocator_without_a_name_that_fails_is_a_trap(observe) -> None:
    observation = await observe(world_component(), body=bytes(1_000_000), memory_mb=1)

    assert observation.error.code == "guest_trap"


async def test_another_fault_in_an_allocator_is_a_trap(observe) -> None:
    broken = NAMED.replace("(local $place i32)", "(local $place i32) (drop (i32.load (i32.const -4)))")

    observation = await observe(world_component(libc=broken), memory_mb=1)

    assert observation.error.code == "guest_trap"
