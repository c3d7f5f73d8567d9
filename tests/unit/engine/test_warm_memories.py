"""Guests of many modules in turns find their memory mapped, and any guest a page of its table, wiped."""

from __future__ import annotations

import resource

from wasmtime import wat2wasm

from alga_runner.engine import Engine, EngineConfig, LinkedModule, Linker, Module, engine_context

MODULES = 70
"""More than wasmtime keeps memories of unless it is asked to."""


FINDS_ITS_TABLE_EMPTY = """
(module
  (memory (export "memory") 1)
  (table 300 funcref)
  (elem declare func $start)
  (func $start
    (if (i32.eqz (ref.is_null (table.get (i32.const 0)))) (then unreachable))
    (if (i32.eqz (ref.is_null (table.get (i32.const 299)))) (then unreachable))
    (table.set (i32.const 0) (ref.func $start))
    (table.set (i32.const 299) (ref.func $start)))
  (start $start))
"""


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def run(module: LinkedModule, engine: Engine) -> None:
    with module.new_guest(engine.limits) as guest:
        guest.instantiate()
        while not guest.poll():
            pass


def test_the_next_guest_of_each_of_many_modules_finds_its_memory_mapped() -> None:
    config = EngineConfig(max_guests=MODULES, max_memory_bytes=1 << 20, warm_modules=MODULES)
    engine = engine_context.engine(config)
    linker = Linker(engine, [])
    linked = [
        linker.link(
            Module(
                engine,
                bytes(
                    wat2wasm(
                        f'(module (memory (export "memory") 1) (data (i32.const 0) "{number:04}")'
                        " (func $start i32.const 8 i32.const 1 i32.store) (start $start))"
                    )
                ),
            )
        )
        for number in range(MODULES)
    ]

    def run_each() -> int:
        before = page_faults()
        for module in linked:
            run(module, engine)
        return page_faults() - before

    run_each()
    run_each()

    assert min(run_each() for _ in range(3)) < MODULES / 2


def test_a_guest_that_writes_to_its_table_finds_it_mapped_and_empty() -> None:
    engine = engine_context.engine(EngineConfig(max_guests=1, max_memory_bytes=1 << 20))
    linked = Linker(engine, []).link(Module(engine, bytes(wat2wasm(FINDS_ITS_TABLE_EMPTY))))

    def run_often() -> int:
        before = page_faults()
        for _ in range(50):
            run(linked, engine)
        return page_faults() - before

    run_often()

    assert min(run_often() for _ in range(3)) < 25
