"""wasmtime-py's own component API, as its documentation has it used: its defaults, its WASI, a store for each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import wasmtime
import wasmtime.component as wasmtime_component

from ..child import Contestant, Counts, Work, WrongAnswer
from .component_work import ANSWERS, CASES, wasm


class WasmtimePy(Contestant):
    """The same component and requests as ours; host functions are bare Python functions with the same answers."""

    def __init__(self) -> None:
        config = wasmtime.Config()
        config.wasm_component_model = True
        self._engine = wasmtime.Engine(config)
        self._linked: dict[str, tuple[Any, Any, Any]] = {}
        self._calls = 0

    def _link(self, engine: str) -> tuple[Any, Any, Any]:
        if engine not in self._linked:
            component = wasmtime_component.Component(self._engine, wasm(engine))
            linker = wasmtime_component.Linker(self._engine)
            linker.add_wasip2()
            with linker.root() as root:
                for interface, extern in component.type.imports(self._engine).items():
                    if interface.startswith("alga:"):
                        with root.add_instance(interface) as instance:
                            for name in extern.ty.exports(self._engine):  # type: ignore[union-attr]
                                instance.add_func(name, self._function(interface, str(name)))
            self._linked[engine] = component, linker, component.get_export_index("handler")
        return self._linked[engine]

    def _function(self, interface: str, name: str) -> Callable[..., Any]:
        value = plain(ANSWERS.get((interface.rpartition("/")[2], name)))

        def answer(_store: Any, *_arguments: Any) -> Any:
            self._calls += 1
            return value

        return answer

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Compile and link before the first."""
        case, count = CASES[order["case"]], order["count"]
        component, linker, index = self._link(order["engine"])
        request = plain(case.value)

        async def run() -> Counts:
            before = self._calls
            for _ in range(count):
                store = wasmtime.Store(self._engine)
                store.set_wasi(wasmtime.WasiConfig())
                handler = linker.instantiate(store, component).get_func(store, index)
                response = handler(store, request)
                store.close()
                if response.status != case.status or bytes(response.body) != case.answer:
                    raise WrongAnswer(vars(response))
            return {"done": count, "checked": count, "host_calls": self._calls - before}

        return run


def plain(value: Any) -> Any:
    """The value as wasmtime-py has it: records are objects, a result is its value where no other could be meant."""
    if isinstance(value, dict):
        record = wasmtime_component.Record()
        vars(record).update({name: plain(member) for name, member in value.items()})
        return record
    if isinstance(value, tuple):
        return plain(value[1])
    return [plain(item) for item in value] if isinstance(value, list) else value
