"""A process whose memory maps run out answers that it is overloaded, and its compiled code stays good."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.memory_maps import run_program

pytestmark = pytest.mark.processes

PROGRAM = """
    import sys
    from pathlib import Path
    import anyio
    from wasmtime import wat2wasm
    from alga_runner.engine import *
    from alga_runner.telemetry import Telemetry

    MODULE = '(module (memory (export "memory") 20) (data (i32.const 500000) "x") (func (export "run")))'
    COMPONENT = '''(component
      (core module $m (memory (export "memory") 20) (data (i32.const 500000) "x") (func (export "run")))
      (core instance $m (instantiate $m)) (core instance (instantiate $m))
      (func (export "run") (canon lift (core func $m "run"))))'''

    def run(guest):
        with guest:
            guest.instantiate()
            while not guest.poll(): pass
            guest.call("run")
            while not guest.poll(): pass

    async def main():
        engine = engine_context.engine(EngineConfig(max_guests=4))
        telemetry = Telemetry()
        loader = ModuleLoader(engine, telemetry, CompileBounds(), folder=Path(FOLDER), max_cache_bytes=1 << 24)
        async def component():
            return await loader.obtain(bytes(wat2wasm(COMPONENT)), "acme")
        async def module():
            return await loader.obtain(bytes(wat2wasm(MODULE)), "acme")
        linked = Linker(engine, []).link((await module()).module)
        linked_component = link_component((await component()).module, lambda _: None, lambda *_: None)
        async def guest():
            run(linked.new_guest(engine.limits))
        async def component_guest():
            run(ComponentGuest(linked_component, engine.limits, max_items=10))
        kinds = component, module, guest, component_guest
        for kind in kinds: await kind()  # threads, their signal stacks, and arenas are there
        kept = taking_maps(left=0)
        outcomes = {kind.__name__: set() for kind in kinds}
        for _ in range(40):
            for kind in kinds:
                try:
                    await kind()
                    outcomes[kind.__name__].add("ok")
                except Exception as error:
                    outcomes[kind.__name__].add(getattr(error, "code", repr(error)))
            kept.pop(-2).close()
        kept.clear()
        for kind in kinds: await kind()
        for name, seen in outcomes.items(): print(name, *sorted(seen))
        print([line for line in telemetry.render().decode().splitlines() if 'code_cache_total{' in line
            and not line.endswith(" 0.0") and "hit" not in line])
    anyio.run(main)
"""


def test_what_runs_out_of_memory_maps_is_overloaded_and_leaves_the_code_cache_as_it_is(
    tmp_path: Path,
) -> None:
    code, out, err = run_program(PROGRAM.replace("FOLDER", repr(str(tmp_path / "code"))))

    assert (code, err) == (0, "")
    *kinds, counts = out.splitlines()
    assert kinds[0].startswith("component")
    for kind in kinds:
        assert set(kind.split()[1:]) <= {"ok", "overloaded"}
    assert "overloaded" in out
    assert counts == "['alga_runner_code_cache_total{result=\"miss\"} 2.0']"
