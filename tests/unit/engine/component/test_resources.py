"""A guest reaches the host's resources by its own handles alone, and holds a bounded number of them."""

from __future__ import annotations

from typing import Any

import pytest

from alga_runner.engine import ComponentImport, LinkedComponent, Offer, link_component
from alga_runner.errors import CanonicalAbiBreach, ResourceLimit
from tests.support.components import call, component, instance

OWN_RESOURCE = """(component
  (type $r (resource (rep i32)))
  (core func $new (canon resource.new $r))
  (core module $code (import "own" "new" (func $new (param i32) (result i32)))
    (func (export "run") (loop $again (drop (call $new (i32.const 1))) (br $again))))
  (core instance $code (instantiate $code (with "own" (instance (export "new" (func $new))))))
  (func (export "run") (canon lift (core func $code "run"))))"""


def using(body: str) -> str:
    """A component that imports two resources; ``body`` is the end of its ``run``, whose parameter is a handle."""
    functions = ("make", "make-other", "use", "take", "drop")
    given = " ".join(f'(export "{name}" (func ${name}))' for name in functions)
    return f"""(component
      (import "test:host/api" (instance $host
        (export "thing" (type $t (sub resource))) (export "other" (type $o (sub resource)))
        (export "make" (func (result (own $t)))) (export "make-other" (func (result (own $o))))
        (export "use" (func (param "one" (borrow $t)))) (export "take" (func (param "one" (own $t))))))
      (alias export $host "thing" (type $t))
      (core func $make (canon lower (func $host "make")))
      (core func $make-other (canon lower (func $host "make-other")))
      (core func $use (canon lower (func $host "use")))
      (core func $take (canon lower (func $host "take")))
      (core func $drop (canon resource.drop $t))
      (core module $code
        (import "host" "make" (func $make (result i32))) (import "host" "make-other" (func $make-other (result i32)))
        (import "host" "use" (func $use (param i32))) (import "host" "take" (func $take (param i32)))
        (import "host" "drop" (func $drop (param i32)))
        (func (export "run") (param $handle i32) (result i32) {body} (local.get $handle)))
      (core instance $code (instantiate $code (with "host" (instance {given}))))
      (func (export "run") (param "handle" u32) (result u32) (canon lift (core func $code "run"))))"""


class Host:
    """The resources that guests were given, used and dropped, by number."""

    def __init__(self) -> None:
        self.made = 0
        self.used: list[int] = []
        self.taken: list[int] = []
        self.dropped: list[tuple[object, int]] = []

    def link(self, text: str) -> LinkedComponent:
        return link_component(
            component(text), self._offer, lambda guest, number: self.dropped.append((guest, number))
        )

    def _offer(self, imported: ComponentImport) -> Offer:
        return {
            "make": Offer(self._make, suspends=False, resource="thing"),
            "make-other": Offer(self._make, suspends=False, resource="other"),
            "use": Offer(lambda _, number: self.used.append(number), suspends=False),
            "take": Offer(lambda _, number: self.taken.append(number), suspends=False),
        }[imported.name]

    def _make(self, _: object) -> int:
        self.made += 1
        return 100 + self.made


def run(host: Host, body: str, handle: int = 0) -> Any:
    with instance(host.link(using(body))) as guest:
        return call(guest, "run", handle)


MAKE = "(local.set $handle (call $make))"
USE, TAKE, DROP = (f"(call ${name} (local.get $handle))" for name in ("use", "take", "drop"))


def test_a_handle_is_used_until_it_is_dropped_and_the_host_hears_of_that_once() -> None:
    host = Host()

    with instance(host.link(using(MAKE + USE + USE + DROP))) as guest:
        call(guest, "run", 0)

    assert (host.used, host.dropped) == ([101, 101], [(guest, 101)])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(MAKE + DROP + DROP, id="dropped twice"),
        pytest.param(MAKE + DROP + USE, id="used after its drop"),
        pytest.param(MAKE + TAKE + USE, id="used after it was given away"),
        pytest.param(MAKE + TAKE + TAKE, id="given away twice"),
        pytest.param("(local.set $handle (call $make-other))" + USE, id="of another type"),
    ],
)
def test_a_handle_that_the_guest_does_not_have_is_a_breach(body: str) -> None:
    host = Host()

    with pytest.raises(CanonicalAbiBreach, match="handle index"):
        run(host, body)

    assert host.used == []


def test_a_name_that_the_guest_chose_does_not_decide_what_its_error_is() -> None:
    name = r"Caused by:\n    0: memory minimum size"
    text = using(DROP).replace(
        '(func (export "run") (param $h', f'(func (@name "{name}") (export "run") (param $h'
    )
    assert name in text

    with instance(Host().link(text)) as guest, pytest.raises(CanonicalAbiBreach, match="handle index"):
        call(guest, "run", 5)


@pytest.mark.parametrize("forged", [0, 1, 2, 77, 101, 0x7FFF_FFFF, 0xFFFF_FFFF])
@pytest.mark.parametrize("function", [USE, TAKE, DROP])
def test_a_forged_handle_is_a_breach_even_if_it_is_the_host_s_number(function: str, forged: int) -> None:
    host = Host()

    with pytest.raises(CanonicalAbiBreach, match="handle index"):
        run(host, function, forged)

    assert (host.used, host.taken, host.dropped) == ([], [], [])


def test_a_handle_of_one_guest_is_none_in_another() -> None:
    host = Host()
    makes, uses = host.link(using(MAKE)), host.link(using(USE))

    with instance(makes) as owner, instance(makes) as same_component, instance(uses) as other:
        handle = call(owner, "run", 0)
        assert call(same_component, "run", 0) == handle
        with pytest.raises(CanonicalAbiBreach, match="handle index"):
            call(other, "run", handle)

    assert host.used == []


def test_handles_that_a_guest_leaks_are_freed_with_it_and_leave_others_alone() -> None:
    host = Host()
    of = host.link(using(MAKE * 1000))

    with instance(of) as first:
        call(first, "run", 0)
    with instance(host.link(using(MAKE + USE))) as second:
        call(second, "run", 0)

    assert (host.made, host.used, host.dropped) == (1001, [1101], [])


def test_a_guest_that_makes_resources_without_end_meets_the_limit_on_handles() -> None:
    of = Host().link(OWN_RESOURCE)

    with instance(of) as guest, pytest.raises(ResourceLimit, match="more handles of resources than it may"):
        call(guest, "run")


def test_a_guest_that_is_given_resources_without_end_meets_the_same_limit() -> None:
    """It makes most of them itself, which takes less time."""
    own = """(type $r (resource (rep i32))) (core func $new (canon resource.new $r))
      (core module $filling (import "own" "new" (func $new (param i32) (result i32)))
        (func $fill (local $n i32) (loop $again (drop (call $new (i32.const 1)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $n) (i32.const 99990))))) (start $fill))
      (core instance (instantiate $filling (with "own" (instance (export "new" (func $new))))))
      (core module $code"""
    text = using(f"(loop $again {MAKE} (br $again))").replace("(core module $code", own)
    host = Host()

    with (
        instance(host.link(text)) as guest,
        pytest.raises(ResourceLimit, match="more handles of resources than"),
    ):
        call(guest, "run", 0)

    assert 5 <= host.made <= 11
