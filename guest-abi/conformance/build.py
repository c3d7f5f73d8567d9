"""Write the conformance kit of guest ABI v1: ``cases.json``, and the modules that its cases run.

Run ``python guest-abi/conformance/build.py`` after a change to the ABI, the schema, the vectors or ``source/``; a test
fails while the committed files differ. Everything about operations is made from ``../schema``, so a new one has its
cases once this has run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from source import crossing, forms, host_calls, limits, responding, systems, vectors
from source.cases import Case, operations, probe_functions
from source.guests import probe
from wasmtime import wat2wasm

SOURCES = (
    *(forms.exports, forms.features, forms.imports, forms.weak),
    *(crossing.pointers, crossing.the_request, crossing.replies, responding.responses),
    *(responding.failing, responding.logging, responding.headers),
    host_calls.operations,
    *(vectors.host_calls, vectors.values, vectors.responses, vectors.requests, vectors.sdks),
    *(systems.wasi, systems.env),
    *(limits.granted, limits.exceeded),
)

DEFAULTS = {
    "grants": [],
    "request": {
        "context": {
            "requestId": "request-1",
            "tenantId": "tenant-1",
            "extensionId": "com.example.conformance",
            "installId": "install-1",
            "config": {},
        },
        "http": {"method": "POST", "url": "/case", "headers": [], "body": None},
    },
    "answers": {},
    "limits": {},
    "asked": [],
    "log": [],
}
"""What a case has unless it gives a value; members of ``context`` and ``http`` each."""

ELSEWHERE = {
    "sdks/assemblyscript.wasm": "../assemblyscript/tests/codec.wasm",
    "sdks/c.wasm": "../c/tests/probe.wasm",
    "sdks/rust.wasm": "../rust/tests/probe.wasm",
}
"""Modules that are not here in the repository: the guests of the SDKs' tests, which echo MessagePack."""


def kit() -> tuple[list[Case], dict[str, str]]:
    """The cases, and the texts of their modules by name."""
    cases: list[Case] = []
    texts = {f"probe-{group}": probe(probe_functions(group)) for group in groups()}
    texts["probe-weak"] = probe(forms.weak_functions())
    texts["probe-wasi"] = probe(systems.wasi_functions())
    for source in SOURCES:
        for case in source():
            if isinstance(case["module"], tuple):
                name, text = case["module"]
                if texts.setdefault(name, text) != text:
                    raise ValueError(f"two modules are called {name}")
                case["module"] = f"modules/{name}.wasm"
            cases.append(case)
    names = [case["name"] for case in cases]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"several cases are called {', '.join(sorted(twice))}")
    used = {Path(case["module"]).stem for case in cases}
    return cases, {name: text for name, text in texts.items() if name in used}


def groups() -> list[str]:
    """The groups of host calls."""
    return list(dict.fromkeys(one["module"].removeprefix("alga:") for one in operations()))


def render(cases: list[Case]) -> str:
    """The text of ``cases.json``: one case a line."""
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    head: dict[str, Any] = {"abi": "alga_abi_v1", "defaults": DEFAULTS, "elsewhere": ELSEWHERE}
    return json.dumps(head, ensure_ascii=False)[:-1] + f', "cases": [\n{lines}\n]}}\n'


def main() -> None:
    """Write everything next to this script, or into the folder that the first argument names."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    cases, texts = kit()
    (folder / "cases.json").write_text(render(cases), encoding="utf-8")
    modules = folder / "modules"
    modules.mkdir(exist_ok=True)
    for stale in {path.stem for path in modules.glob("*.wasm")} - texts.keys():
        (modules / f"{stale}.wasm").unlink()
    for name, text in texts.items():
        (modules / f"{name}.wasm").write_bytes(wat2wasm(text))


if __name__ == "__main__":
    main()
