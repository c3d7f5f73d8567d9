"""Guests in each language whose functions pass a value to the host and return the host's answer.

There is a function for each type of ``guest-abi/wit``: for those that have names there, for each parameter and result
of the functions of the interfaces, and for each scalar of WIT. So what a language's toolchain makes of a value is seen
four times, as with ``component_relay``.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from alga_runner.engine import ValueType
from tests.support.wit import FOLDER, read_world

ROOT = Path(__file__).parents[2]
TYPESCRIPT = ROOT / "guest-abi" / "typescript"
COMPONENTIZE_PY = ROOT / ".make" / "components" / "bin" / "componentize-py"
SCALARS = ("bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char", "string")

WORLD = read_world()


def _spelt(of: ValueType) -> str:
    """The type as WIT writes it, with the names of ``guest-abi/wit``."""
    named = next((name for name, one in WORLD.types.items() if one == of), None)
    if named is not None:
        return named
    match of.kind:
        case "list" | "option":
            assert of.element is not None
            return f"{of.kind}<{_spelt(of.element)}>"
        case "tuple":
            return f"tuple<{', '.join(_spelt(member) for _, member in of.fields)}>"
        case "result":
            assert of.error is not None
            return f"result<{_spelt(of.element) if of.element else '_'}, {_spelt(of.error)}>"
    assert of.kind in SCALARS
    return of.kind


def _relayed() -> Iterator[tuple[str, ValueType]]:
    yield from ((name, ValueType(name)) for name in SCALARS)
    yield from WORLD.types.items()
    for function in (*WORLD.functions.values(), *WORLD.exports.values()):
        for of in (*(param for _, param in function.params), function.result):
            if of is not None:
                yield _spelt(of), of


RELAYED = dict(_relayed())
"""The types as WIT writes them; the function for the first is ``relay0``."""


def function_of(spelt: str) -> str:
    """The name of the function that relays values of that type."""
    return f"relay{list(RELAYED).index(spelt)}"


def build(language: str, folder: Path) -> bytes | None:
    """Build the guest in ``folder``; ``None`` where the toolchain is not installed.

    ``language`` is ``quickjs``, ``spidermonkey`` or ``python``.
    """
    wit, made = _write_wit(folder / "wit"), folder / "relay.wasm"
    if language == "python":
        if not COMPONENTIZE_PY.exists():
            return None
        (folder / "app.py").write_text(_python())
        command = [str(COMPONENTIZE_PY), "-d", str(wit), "-w", "relay"]
        command += ["componentize", "app", "-p", str(folder), "-o", str(made)]
    else:
        if not (TYPESCRIPT / "node_modules").exists():
            return None
        (folder / "relay.js").write_text(_javascript())
        script = TYPESCRIPT / "tests" / "componentize.mjs"
        command = ["node", str(script), language, str(wit), "relay", str(folder / "relay.js"), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return made.read_bytes()


def _write_wit(folder: Path) -> Path:
    shutil.copytree(FOLDER, folder / "deps" / "alga")
    used = f"use alga:extension/types.{{{', '.join(WORLD.types)}}};"
    functions = [f"relay{number}: func(value: {spelt}) -> {spelt};" for number, spelt in enumerate(RELAYED)]
    exports = [f"export {function}" for function in functions]
    (folder / "relay.wit").write_text(
        f"""package test:relay;
interface host {{ {used} {" ".join(functions)} status: func(of: f64) -> u16; }}
world relay {{ import host; {used} {" ".join(exports)} export status: func(of: f64) -> u16; }}
"""
    )
    return folder


def _javascript() -> str:
    functions = [f"export const relay{n} = (value) => host.relay{n}(value);" for n in range(len(RELAYED))]
    return "\n".join(
        ['import * as host from "test:relay/host";', *functions, "export const status = (of) => of;"]
    )


def _python() -> str:
    functions = [
        f"    def relay{n}(self, value):\n        return host.relay{n}(value)" for n in range(len(RELAYED))
    ]
    return "\n".join(
        [
            "import wit_world",
            "from wit_world.imports import host",
            "class WitWorld(wit_world.WitWorld):",
            *functions,
            "    def status(self, of):\n        return int(of) if of == int(of) else of",
        ]
    )
