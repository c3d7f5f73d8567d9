"""Guests of many modules in turns find their memory mapped."""

from __future__ import annotations

import resource

from wasmtime import wat2wasm

from alga_runner.engine import EngineConfig, Linker, Module, engine_context

MODULES = 70
"""More than wasmtime keeps memories of unless it is asked to."""


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


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
            with module.new_guest(engine.limits) as guest:
                guest.instantiate()
                while not guest.poll():
                    pass
        return page_faults() - before

    run_each()
    run_each()

    assert min(run_each() for _ in range(3)) < MODULES / 2
