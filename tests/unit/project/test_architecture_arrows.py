"""Arrows between rooms point down only (ARCHITECTURE.md). The table below is the whole rule."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[3]

FLOOR = {"errors", "frames", "models", "places", "settings", "telemetry"}
HOUSE = FLOOR | {
    "admission",
    "alga",
    "bundles",
    "capabilities",
    "debuginfo",
    "engine",
    "failure",
    "guests",
    "positions",
    "programs",
    "runner",
    "single_flight",
}

MAY_IMPORT = {
    # Front rooms: they use the house as its callers do.
    "cli": HOUSE | {"service", "testing", "workers", "alga_server (lazily)"},
    "workers": HOUSE | {"service"},
    "service": HOUSE,
    "testing": HOUSE | {"service", "alga_server (lazily)"},
    "": HOUSE,
    # The front door, and the programs it keeps compiled.
    "runner": HOUSE - {"runner"},
    "failure": HOUSE - {"runner", "failure"},
    "programs": HOUSE - {"admission", "runner", "failure", "programs"},
    "admission": FLOOR,
    "positions": FLOOR | {"bundles", "debuginfo", "engine", "single_flight"},
    "single_flight": FLOOR,
    # Rooms that know nothing of executions as a whole.
    "guests": FLOOR | {"capabilities", "debuginfo", "engine"},
    "capabilities": FLOOR | {"alga"},
    "bundles": FLOOR,
    # Edges: WebAssembly on one side, the Alga server on the other.
    "engine": FLOOR,
    "debuginfo": FLOOR,
    "alga": FLOOR,
    # The floor.
    "telemetry": {"errors", "models", "settings"},
    "settings": {"errors"},
    "models": {"errors"},
    "errors": {"frames"},
    "frames": set(),
    "places": set(),
    # The other building: it speaks HTTP to a runner.
    "alga_server": {"errors", "models"},
    "alga_server.cli": {"alga_server", "errors", "models"},
}
"""Room to the rooms it may import. ``""`` is the package itself; ``(lazily)`` means inside functions only."""

ONLY_IN = {
    "wasmtime": {"engine"},
    "pytest": {"testing"},
    "click": {"cli", "alga_server.cli"},
    "rich": {"cli", "alga_server.cli"},
    "uvicorn": {"service", "alga_server.cli"},
    "sqlalchemy": {"alga_server"},
    "cronsim": {"alga_server"},
}
"""Library to the rooms that may import it."""


class Import(NamedTuple):
    module: str
    line: int
    lazy: bool
    """Inside a function, so that it happens when the function runs."""


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import in ``source``, a module directly in ``package``, under its absolute name.

    Those under TYPE_CHECKING count; so does ``import_module("...")``.
    """
    yield from _imports(ast.parse(source), package.split("."), lazy=False)


def _imports(node: ast.AST, package: list[str], *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, lazy)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else []
            start = ".".join([*base, *filter(None, [child.module])])
            for alias in child.names:
                yield Import(f"{start}.{alias.name}", child.lineno, lazy)
        elif isinstance(child, ast.Call) and (name := _imported_by_call(child)):
            yield Import(name, child.lineno, lazy)
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(child, package, lazy=lazy or inside)


def _imported_by_call(call: ast.Call) -> str | None:
    function = ast.unparse(call.func).rpartition(".")[2]
    if function in {"import_module", "__import__"} and call.args and isinstance(call.args[0], ast.Constant):
        return str(call.args[0].value)
    return None


def room(module: str) -> str:
    """The room of ``module``: ``engine`` of ``alga_runner.engine.guest``; of the server, its command line is one."""
    top, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    if top == "alga_server":
        return "alga_server.cli" if first == "cli" else top
    return top if top != "alga_runner" else first


def breaches(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """The imports of ``source`` that no arrow allows."""
    here = room(module)
    found = []
    for name, line, lazy in imports(source, module if is_package else module.rpartition(".")[0]):
        top = name.partition(".")[0]
        if top in ONLY_IN:
            allowed = here in ONLY_IN[top]
        elif top not in {"alga_runner", "alga_server"}:
            continue
        elif room(name) == here:
            allowed = True
        else:
            target = room(name)
            allowed = target in MAY_IMPORT[here] or (lazy and f"{target} (lazily)" in MAY_IMPORT[here])
        if not allowed:
            found.append(f"{module}:{line}: {here or 'the package'} must not import {name}")
    return found


def sources() -> Iterator[tuple[Path, str]]:
    for top in ("runner", "server"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT / top).with_suffix("").parts
            yield path, ".".join(parts).removesuffix(".__init__")


def test_every_import_follows_an_arrow() -> None:
    found = [
        breach
        for path, module in sources()
        for breach in breaches(path.read_text(), module, is_package=path.stem == "__init__")
    ]

    assert found == []


def test_every_room_stands_in_the_table() -> None:
    rooms = {room(module) for _, module in sources()}

    assert rooms <= MAY_IMPORT.keys()


def test_no_two_rooms_import_each_other() -> None:
    circles = [(a, b) for a, targets in MAY_IMPORT.items() for b in targets if a in MAY_IMPORT.get(b, set())]

    assert circles == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("alga_runner.guests.core", "import wasmtime"),
        ("alga_runner.guests.core", "from wasmtime import _ffi"),
        ("alga_runner.capabilities.log", "from ..engine import Engine"),
        ("alga_runner.capabilities.log", "from .. import guests"),
        ("alga_runner.capabilities.log", "from alga_runner.guests import core"),
        ("alga_runner.capabilities.log", "if TYPE_CHECKING:\n    from ..guests import core"),
        ("alga_runner.capabilities.log", "def f():\n    from ..guests import core"),
        ("alga_runner.capabilities.log", "importlib.import_module('alga_runner.guests')"),
        ("alga_runner.models.execute", "from ..settings import Settings"),
        ("alga_runner.errors", "from .models import Manifest"),
        ("alga_runner.telemetry.lines", "from ..capabilities import Execution"),
        ("alga_runner.runner", "def f():\n    import alga_server"),
        ("alga_runner.service.app", "def f():\n    from alga_server import app"),
        ("alga_runner.cli.demo", "from alga_server import app"),
        ("alga_runner.testing.server", "if TYPE_CHECKING:\n    import alga_server.app"),
        ("alga_server.app", "from alga_runner.settings import Settings"),
        ("alga_server.app", "from alga_runner import Runner"),
        ("alga_server.app", "import alga_runner.runner"),
        ("alga_server.app", "import click"),
        ("alga_server.app", "from .cli import main"),
        ("alga_server.cli.page", "from alga_runner.cli.page import Page"),
    ],
)
def test_an_import_against_the_arrows_is_found(module: str, source: str) -> None:
    assert len(breaches(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("alga_runner.engine.guest", "import wasmtime._ffi"),
        ("alga_runner.engine.guest", "from .linker import Linker"),
        ("alga_runner.cli.demo", "def f():\n    from alga_server import app"),
        ("alga_runner.testing.server", "async def f():\n    import alga_server.app"),
        ("alga_server.app", "from alga_runner.models.archive import unpack"),
        ("alga_server.app", "from alga_runner import errors"),
        ("alga_server.cli.serving", "from ..app import Server"),
        ("alga_runner.errors", "import enum"),
    ],
)
def test_an_import_along_the_arrows_passes(module: str, source: str) -> None:
    assert breaches(source, module) == []


def test_a_package_imports_relative_to_itself() -> None:
    source = "from .guest import Guest\nfrom ..guests import core"

    assert len(breaches(source, "alga_runner.engine", is_package=True)) == 1
