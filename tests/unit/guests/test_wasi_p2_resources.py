"""A component holds a bounded number of WASI's resources, each of its own."""

from __future__ import annotations

import pytest

from tests.support.component_relay import LIBC
from tests.support.component_world import world_component

pytestmark = pytest.mark.anyio


def starting(body: str) -> bytes:
    """A component that runs ``body`` as it starts, which may call ``$subscribe``, ``$ready`` and ``$drop``."""
    return world_component(
        libc=f"""{LIBC}
      (import "wasi:io/poll@0.2.3" (instance $poll (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))))
      (alias export $poll "pollable" (type $pollable))
      (import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
        (alias outer 1 $pollable (type $p)) (export "pollable" (type $q (eq $p)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $q))))))
      (core func $subscribe (canon lower (func $clock "subscribe-duration")))
      (core func $ready (canon lower (func $poll "[method]pollable.ready")))
      (core func $drop (canon resource.drop $pollable))
      (core module $starting
        (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
        (import "wasi" "ready" (func $ready (param i32) (result i32)))
        (import "wasi" "drop" (func $drop (param i32)))
        (func $start (local $n i32) {body}) (start $start))
      (core instance (instantiate $starting (with "wasi" (instance (export "subscribe" (func $subscribe))
        (export "ready" (func $ready)) (export "drop" (func $drop))))))"""
    )


def times(count: int, body: str) -> str:
    return f"""(loop $again {body} (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $n) (i32.const {count}))))"""


SUBSCRIBE = "(call $subscribe (i64.const 0))"


async def test_a_guest_holds_as_many_pollables_as_it_may(observe) -> None:
    observation = await observe(starting(times(1000, f"(drop {SUBSCRIBE})")))

    assert observation.response is not None


async def test_one_more_is_the_limit_on_resources(observe) -> None:
    observation = await observe(starting(times(1001, f"(drop {SUBSCRIBE})")))

    assert observation.error.code == "resource_limit"
    assert "1000 pollables" in str(observation.error)


async def test_pollables_that_a_guest_drops_do_not_count(observe) -> None:
    observation = await observe(starting(times(3000, f"(call $drop {SUBSCRIBE})")))

    assert observation.response is not None


@pytest.mark.parametrize("handle", [0, 1, 16, 17, -1])
async def test_a_pollable_that_was_never_made_is_a_breach_even_by_the_host_s_number(
    observe, handle: int
) -> None:
    observation = await observe(starting(f"(drop (call $ready (i32.const {handle})))"))

    assert observation.error.code == "canonical_abi_breach"
