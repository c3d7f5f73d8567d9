"""Arrows between districts point down only (ARCHITECTURE.md). The table below is the whole rule."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[3]

COMMON = {"common"}
"""What both packages share."""

FLOOR = COMMON | {"errors", "frames", "hints", "models", "settings", "telemetry"}
HOUSE = FLOOR | {
    *(
        "alga",
        "bundles",
        "capabilities",
        "debuginfo",
        "egress",
        "engine",
        "execution",
        "guests",
        "runner",
        "secrets",
    ),
}

SERVER_FLOOR = (
    COMMON | {"errors", "models"} | {"server.clock", "server.errors", "server.metrics", "server.settings"}
)
SERVER_HOUSE = SERVER_FLOOR | {
    "server.capabilities",
    "server.catalog",
    "server.execution",
    "server.firing",
    "server.schedules",
    "server.storage",
}

MAY_IMPORT = {
    # The runner's front: it uses the house as its callers do.
    "cli": HOUSE | {"service", "testing", "workers", "server (lazily)"},
    "workers": HOUSE | {"service"},
    "service": HOUSE,
    "testing": HOUSE | {"service", "server (lazily)"},
    "": HOUSE,
    "runner": HOUSE - {"runner"},
    # One execution, from admission to its error.
    "execution": HOUSE - {"runner", "execution"},
    # Districts that know nothing of executions as a whole.
    "guests": FLOOR | {"capabilities", "debuginfo", "engine"},
    "capabilities": FLOOR | {"alga", "egress", "secrets"},
    "bundles": FLOOR,
    # Edges: WebAssembly on one side, the Alga server and other servers on the other.
    "engine": FLOOR | {"debuginfo"},
    "debuginfo": FLOOR,
    "alga": FLOOR,
    "egress": FLOOR,
    "secrets": FLOOR,
    # The floor.
    "telemetry": COMMON | {"errors", "models", "settings"},
    "settings": COMMON | {"errors"},
    "models": COMMON | {"errors"},
    "errors": COMMON | {"frames", "hints"},
    "frames": COMMON,
    "hints": set(),
    "common": set(),
    # The server: it speaks HTTP to a runner, and of the runner's package knows models and errors.
    "server": {"server.app", "server.clock", "server.settings"},
    "server.cli": SERVER_FLOOR | {"server", "server.app", "server.storage"},
    "server.app": SERVER_HOUSE | {"server.http"},
    "server.http": SERVER_HOUSE,
    "server.firing": SERVER_FLOOR
    | {
        "server.capabilities",
        "server.catalog",
        "server.execution",
        "server.schedules",
        "server.storage",
    },
    "server.execution": SERVER_FLOOR | {"server.catalog", "server.schedules", "server.storage"},
    "server.catalog": SERVER_FLOOR | {"server.schedules", "server.storage"},
    "server.capabilities": SERVER_FLOOR | {"server.storage"},
    "server.schedules": SERVER_FLOOR | {"server.storage"},
    "server.storage": SERVER_FLOOR,
    "server.metrics": COMMON,
    "server.settings": COMMON | {"errors"},
    "server.clock": COMMON,
    "server.errors": COMMON,
}
"""District to the districts it may import, most specific name first.

A name without a prefix is of ``alga_runner``, ``""`` that package itself; ``server.`` is ``alga_server``. ``(lazily)``
means inside functions only.
"""

ONLY_IN = {
    "wasmtime": {"engine"},
    "pytest": {"testing"},
    "click": {"cli", "common", "server.cli"},
    "rich": {"cli", "common", "server.cli"},
    "uvicorn": {"common", "service", "server.cli"},
    "sqlalchemy": {
        "server.storage",
        "server.capabilities",
        "server.schedules",
        "server.catalog",
        "server.firing",
        "server.execution",
        "server.http",
    },
    "cronsim": {"server.schedules"},
    "opentelemetry": {"telemetry"},
    "redis": {"telemetry"},
}
"""Library to the districts that may import it."""

MAX_MODULES = 14
"""How many modules a folder holds at most, ``__init__`` and ``__main__`` not counted."""


class Import(NamedTuple):
    module: str
    line: int
    lazy: bool
    """Inside a function, so that it happens when the function runs."""


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import in ``source``, a module directly in ``package``, under its absolute name.

    Those under TYPE_CHECKING count; so do ``import_module("...")`` and ``load("module:name")``.
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
    if function in {"import_module", "__import__", "load"}:
        match call.args:
            case [ast.Constant(value=str(place)), *_]:
                return place.replace(":", ".")
    return None


def district(module: str) -> str:
    """The district of ``module``: ``engine`` for ``alga_runner.engine.compile.job``."""
    top, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    if top == "alga_common":
        return "common"
    if top == "alga_server":
        return f"server.{first}" if f"server.{first}" in MAY_IMPORT else "server"
    return first


def breaches(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """The imports of ``source`` that no arrow allows."""
    here = district(module)
    refused = []
    for name, line, lazy in imports(source, module if is_package else module.rpartition(".")[0]):
        top = name.partition(".")[0]
        if top in ONLY_IN:
            allowed = here in ONLY_IN[top]
        elif top not in {"alga_common", "alga_runner", "alga_server"}:
            continue
        elif district(name) == here:
            allowed = True
        else:
            target = district(name)
            whole = target.partition(".")[0]
            lazily = {f"{target} (lazily)", f"{whole} (lazily)"}
            allowed = target in MAY_IMPORT[here] or (lazy and not lazily.isdisjoint(MAY_IMPORT[here]))
        if not allowed:
            refused.append(f"{module}:{line}: {here or 'the package'} must not import {name}")
    return refused


def sources() -> Iterator[tuple[Path, str]]:
    for top in ("runner", "server"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT / top).with_suffix("").parts
            yield path, ".".join(parts).removesuffix(".__init__")


def test_every_import_follows_an_arrow() -> None:
    refused = [
        breach
        for path, module in sources()
        for breach in breaches(path.read_text(), module, is_package=path.stem == "__init__")
    ]

    assert refused == []


def test_every_district_has_a_row() -> None:
    districts = {district(module) for _, module in sources()}

    assert districts <= MAY_IMPORT.keys()


def test_no_two_districts_import_each_other() -> None:
    circles = [(a, b) for a, targets in MAY_IMPORT.items() for b in targets if a in MAY_IMPORT.get(b, set())]

    assert circles == []


def test_no_folder_holds_too_many_modules() -> None:
    modules = Counter(path.parent for path, _ in sources() if path.stem not in {"__init__", "__main__"})

    assert {str(folder): count for folder, count in modules.items() if count > MAX_MODULES} == {}


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
        ("alga_runner.models.execute", "load('alga_runner.settings:Settings')"),
        ("alga_server.cli.session", "from alga_runner.cli.failures import report"),
        ("alga_server.schedules.schedules", "from ..catalog import installs"),
        ("alga_server.schedules.schedules", "from ..firing import claims"),
        ("alga_server.catalog.installs", "from ..http.admin import routes"),
        ("alga_server.firing.queue.jobs", "from ...http import params"),
        ("alga_server.storage.tables", "from ..schedules import cron"),
        ("alga_server.errors", "from .settings import ServerSettings"),
        ("alga_common.fair_limiter", "from alga_runner import errors"),
        ("alga_common.fair_limiter", "import alga_server"),
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
