"""Values of every type of ``guest-abi/wit`` go through guests in JavaScript and Python and come back as they were.

The guests are built here, so the toolchains must be installed. What one is known to do wrong is an expected failure,
which fails once it is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alga_runner.engine import Component, ComponentImport, Offer, ValueType, link_component
from alga_runner.errors import ExecutionError
from alga_runner.guests import wasi_p2
from tests.support.component_relay import same, values
from tests.support.components import call, component_engine, instance
from tests.support.language_relay import RELAYED, build, function_of

Tame = Mapping[str, Callable[[Any], object]]
TAME: dict[str, Tame] = {
    "quickjs": {"u64": lambda number: number >> 11, "s64": lambda number: number >> 11},
    "spidermonkey": {
        "u32": lambda number: number % 2**31,
        "s64": lambda number: number % 2**63,
        "string": lambda text: text.lstrip("\ufeff"),
    },
    "python": {},
}
"""What makes a value of a kind one that the toolchain is not known to get wrong."""


class Relay:
    """The guest in one language."""

    def __init__(self, language: str, wasm: bytes) -> None:
        self.language = language
        self._seen: list[object] = []
        component = Component(component_engine(), wasm)
        self._linked = link_component(component, self._offer, lambda _guest, _number: None)

    def _offer(self, imported: ComponentImport) -> Offer | None:
        if imported.interface == "test:relay/host":
            return Offer(self._answer, suspends=False)
        # There is no session: a guest that writes why it dies is ended by that.
        if imported.name == "get-random-bytes":
            return Offer(lambda _session, length: bytes(length), suspends=False)
        return None if imported.interface == "wasi:io/streams" else wasi_p2.offer(imported)

    def _answer(self, _session: object, value: object) -> object:
        self._seen.append(value)
        return value

    def call(self, export: str, value: object) -> Any:
        with instance(self._linked) as guest:
            return call(guest, export, value)

    def check(self, spelt: str, value: object) -> None:
        """Check that the host sees ``value`` when it calls with it, and gets back what it answers."""
        self._seen.clear()
        returned = self.call(function_of(spelt), value)
        assert same(self._seen, [value])
        assert same(returned, value)


@pytest.fixture(scope="module", params=["quickjs", "spidermonkey", "python"], ids="through-{}".format)
def relay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Relay:
    wasm = build(request.param, tmp_path_factory.mktemp("relay"))
    if wasm is None:
        pytest.skip(f"the toolchain of {request.param} is not installed: `make components` installs it")
    return Relay(request.param, wasm)


def expect_failure(request: pytest.FixtureRequest, relay: Relay, *languages: str) -> None:
    """The toolchains of ``languages`` do this wrong; the test fails once they do not."""
    if relay.language in languages:
        request.applymarker(pytest.mark.xfail(strict=True, reason="the toolchain's fault"))


def tamed(by: Tame, of: ValueType | None, value: Any) -> Any:
    """``value`` with each of its parts as ``by`` has it."""
    if of is None or value is None:
        return None
    match of.kind:
        case kind if kind in by:
            value = by[kind](value)
        case "record":
            value = {name: tamed(by, member, value[name]) for name, member in of.fields}
        case "tuple":
            parts = zip(of.fields, value, strict=True)
            value = tuple(tamed(by, member, part) for (_, member), part in parts)
        case "list" if not isinstance(value, bytes):
            value = [tamed(by, of.element, item) for item in value]
        case "option":
            value = tamed(by, of.element, value)
        case "result":
            case, inner = value
            value = (case, tamed(by, of.element if case == "ok" else of.error, inner))
    return value


@pytest.mark.parametrize("spelt", RELAYED)
@settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_value_of_each_type_goes_to_the_host_and_comes_back(
    relay: Relay, spelt: str, data: st.DataObject
) -> None:
    of = RELAYED[spelt]
    relay.check(spelt, tamed(TAME[relay.language], of, data.draw(values(of))))


@pytest.mark.parametrize(
    ("languages", "spelt", "value"),
    [
        (["quickjs"], "u64", 2**53 + 1),
        (["quickjs"], "u64", 2**64 - 1),
        (["quickjs", "spidermonkey"], "s64", -(2**53) - 1),
        (["spidermonkey"], "string", "\ufeffmark"),
        (["spidermonkey"], "u32", 2**31),
        (["spidermonkey"], "u32", 2**32 - 1),
        (["spidermonkey"], "s64", -1),
    ],
)
def test_a_value_that_a_toolchain_gets_wrong_is_right_elsewhere(
    request: pytest.FixtureRequest, relay: Relay, languages: list[str], spelt: str, value: object
) -> None:
    expect_failure(request, relay, *languages)

    relay.check(spelt, value)


@pytest.mark.parametrize(
    ("spelt", "value"),
    [
        ("string", "a\ufeff\0\u2028\ufffe\U0010ffff"),
        ("u32", 2**31 - 1),
        ("u64", 2**53 - 1),
        ("s64", 2**53 - 1),
        ("s32", -(2**31)),
        ("f64", 5e-324),
        ("f64", float("nan")),
        ("char", "\U0001f600"),
        ("option<list<u8>>", b""),
        ("option<list<u8>>", bytes(range(256)) * 200),
        ("option<string>", ""),
        ("result<option<schedule-info>, scheduler-error>", ("ok", None)),
        ("result<_, storage-error>", ("ok", None)),
    ],
)
def test_a_value_at_an_edge_goes_to_the_host_and_comes_back(relay: Relay, spelt: str, value: object) -> None:
    relay.check(spelt, value)


@pytest.mark.parametrize("status", [-1.0, 65536.0 + 200, 200.5])
def test_a_status_that_its_type_cannot_hold_ends_the_guest(
    request: pytest.FixtureRequest, relay: Relay, status: float
) -> None:
    # The SDKs refuse such a status before the toolchain sees it.
    expect_failure(request, relay, "quickjs", "spidermonkey")

    with pytest.raises(ExecutionError):
        relay.call("status", status)
