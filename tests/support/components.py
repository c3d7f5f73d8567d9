"""Components in text form, linked and run by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import wasmtime

from alga_runner.engine import (
    Component,
    ComponentGuest,
    Engine,
    EngineConfig,
    GuestLimits,
    LinkedComponent,
    Offer,
    engine_context,
    link_component,
)
from tests.support.component_relay import LIBC


def component_engine() -> Engine:
    """An engine for components."""
    return engine_context.engine(EngineConfig(components=True))


def component(text: str) -> Component:
    """The component of that text, which may use ``LIBC``'s memory."""
    return Component(component_engine(), bytes(wasmtime.wat2wasm(text)))


def handler(core: str, result: str = "", params: str = "") -> str:
    """The text of a component that exports ``run``, whose core module has the fields ``core``; ``LIBC`` is there."""
    export = f'(func (export "run") {params} {result and f"(result {result})"}'
    return f"""(component
      {LIBC}
      (core module $code (import "libc" "memory" (memory 1)) {core})
      (core instance $code (instantiate $code (with "libc" (instance $libc))))
      (alias core export $code "run" (core func $run))
      {export} (canon lift (core func $run) (memory $memory) (realloc $realloc))))"""


def calling(core: str, imported: str, *, result: str = "") -> str:
    """The same for a component that imports the function ``call`` of that type from ``test:host/api``."""
    return f"""(component
      (import "test:host/api" (instance $host (export "call" {imported})))
      (alias export $host "call" (func $call))
      {LIBC}
      (core func $lowered (canon lower (func $call) (memory $memory) (realloc $realloc)))
      (core module $code (import "libc" "memory" (memory 1)) {core})
      (core instance $code (instantiate $code
        (with "libc" (instance $libc)) (with "host" (instance (export "call" (func $lowered))))))
      (alias core export $code "run" (core func $run))
      (func (export "run") {result and f"(result {result})"}
        (canon lift (core func $run) (memory $memory) (realloc $realloc))))"""


def with_realloc(text: str, body: str) -> str:
    """``text``, whose allocator has that body."""
    libc = f"""(core module $libc (memory (export "memory") 2)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) {body}))
      (core instance $libc (instantiate $libc))
      (alias core export $libc "memory" (core memory $memory))
      (alias core export $libc "realloc" (core func $realloc))"""
    assert LIBC in text
    return text.replace(LIBC, libc)


def linked(of: Component, answer: Any = None, *, suspends: bool = False) -> LinkedComponent:
    """``of``, linked to ``answer(session, *arguments)`` for every function that it imports; to nothing for ``None``."""
    offer = None if answer is None else Offer(answer, suspends)
    return link_component(of, lambda _: offer, lambda _guest, _number: None)


@contextmanager
def instance(
    of: LinkedComponent, *, limits: GuestLimits | None = None, max_items: int = 10_000
) -> Iterator[ComponentGuest]:
    """A guest of that component, instantiated."""
    with ComponentGuest(of, limits or of.engine.limits, max_items=max_items) as guest:
        guest.answerer = lambda place, arguments: of.functions[place].answer(None, *arguments)
        guest.instantiate()
        run(guest)
        yield guest


def run(guest: ComponentGuest) -> None:
    """Run the call that was started to its end, answering its host calls."""
    while not guest.poll():
        if (call := guest.pending) is not None:
            guest.resume(guest.linked.functions[call[0]].answer(None, *call[1]))


def call(guest: ComponentGuest, export: str, *arguments: object) -> Any:
    """Call ``export`` and return its result."""
    guest.call(export, *arguments)
    run(guest)
    return guest.result()
