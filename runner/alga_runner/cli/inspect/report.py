"""An inspection, to read or as JSON."""

from __future__ import annotations

from typing import Any

from alga_common.cli.failures import print_document
from alga_common.cli.page import Page
from alga_common.text import size

from ...models import DEFAULT_CAPABILITIES, Manifest
from ..failures import error_document, report
from .inspection import Inspection, SeenImport, look_at

_PLATFORMS = {
    "wasi_snapshot_preview1": "WASI preview 1, the host's own",
    "env": "AssemblyScript's runtime library",
}

_MAX_TYPE_CHARACTERS = 40
_MAX_SKIPPED = 50


def inspect(path: str, *, as_json: bool) -> bool:
    """Describe ``path`` on stdout, and on stderr why a runner would refuse it; whether a runner would load it."""
    inspection = look_at(path)
    if as_json:
        _print_json(inspection)
    else:
        _print_text(inspection)
    for refusal in inspection.refusals:
        report(refusal)
    return not inspection.refusals


def _print_text(inspection: Inspection) -> None:
    page = Page()
    manifest = inspection.manifest
    page.line(f"{manifest.name} {manifest.version}" if manifest else inspection.path, style="bold")
    page.table(("", ""), _facts(inspection), indent=2)
    if manifest is not None:
        _print_endpoints(page, manifest)
    _print_capabilities(page, inspection)
    _print_imports(page, inspection)
    if inspection.exports is not None:
        page.heading("Exports")
        page.table(
            ("", "", ""),
            [(item.name, item.kind, _cut(item.type)) for item in inspection.exports],
            indent=2,
        )
    if inspection.skipped:
        page.heading("Skipped entries")
        for sentence in inspection.skipped[:_MAX_SKIPPED]:
            page.line(f"  {sentence}")
        if (more := len(inspection.skipped) - _MAX_SKIPPED) > 0:
            page.line(f"  and {more} more")
    page.line()
    if inspection.refusals:
        page.line("A runner would refuse it.", style="red")
    elif inspection.wasm is None:
        page.line("It has no handler for a runner to execute.", style="green")
    else:
        page.line("A runner would load it.", style="green")


def _print_json(inspection: Inspection) -> None:
    print_document(
        {
            "path": inspection.path,
            "kind": inspection.kind,
            "contentHash": inspection.content_hash,
            "manifest": inspection.manifest.model_dump(by_alias=True, exclude_none=True)
            if inspection.manifest
            else None,
            "module": None
            if inspection.wasm is None
            else {"bytes": len(inspection.wasm), "hash": inspection.wasm_hash},
            "abi": inspection.abi,
            "imports": None
            if inspection.imports is None
            else [_import_document(item) for item in inspection.imports],
            "exports": None
            if inspection.exports is None
            else [{"name": item.name, "kind": item.kind, "type": item.type} for item in inspection.exports],
            "capabilities": {
                "declared": inspection.declared,
                "needed": inspection.needed,
                "undeclared": inspection.undeclared,
                "unused": inspection.unused,
            },
            "skippedEntries": list(inspection.skipped),
            "loads": not inspection.refusals,
            "refusals": [error_document(refusal) for refusal in inspection.refusals],
        }
    )


def _facts(inspection: Inspection) -> list[tuple[str, str]]:
    manifest = inspection.manifest
    facts = [(inspection.kind, inspection.path)]
    if manifest is not None:
        facts += [("publisher", manifest.publisher)] if manifest.publisher else []
        facts += [("runtime", manifest.runtime)] if manifest.runtime else []
    if inspection.content_hash is not None:
        facts += [("content hash", inspection.content_hash)]
    if inspection.wasm is None:
        facts += [("module", "none: it has pages alone, and no handler")]
    else:
        facts += [
            ("module", f"{size(len(inspection.wasm))} ({len(inspection.wasm)} bytes)"),
            ("", inspection.wasm_hash or ""),
        ]
    if inspection.exports is not None:
        facts += [("guest ABI", ", ".join(inspection.abi) or "none: it exports no marker")]
    return facts


def _print_endpoints(page: Page, manifest: Manifest) -> None:
    page.heading("Endpoints")
    if not manifest.endpoints:
        page.line("  none")
    page.table(
        ("", "", "", ""),
        [
            (item.method, item.path, item.handler, "can be scheduled" if item.schedulable else "")
            for item in manifest.endpoints
        ],
        indent=2,
    )


def _print_capabilities(page: Page, inspection: Inspection) -> None:
    names = sorted({*inspection.declared, *inspection.needed})
    page.heading("Capabilities")
    if not names:
        page.line("  none")
    page.table(
        ("", "", ""),
        [(name, _declared(inspection, name), _use(inspection, name)) for name in names],
        indent=2,
    )
    for name in inspection.undeclared:
        page.line(
            f"  Undeclared: {name}. It cannot be granted until the manifest declares it.", style="yellow"
        )
    for name in inspection.unused:
        page.line(f"  Unused: {name}. No import needs it.", style="yellow")


def _declared(inspection: Inspection, name: str) -> str:
    if name in DEFAULT_CAPABILITIES:
        return "everyone has it"
    if inspection.manifest is None:
        return "-"
    return "declared" if name in inspection.declared else "NOT DECLARED"


def _use(inspection: Inspection, name: str) -> str:
    if inspection.imports is None:
        return ""
    uses = inspection.needed.get(name, [])
    if not uses:
        return "no import needs it"
    modules: dict[str, list[str]] = {}
    for use in uses:
        module, _, function = use.partition(" ")
        modules.setdefault(module, []).append(function)
    return "for " + "; ".join(f"{module} {', '.join(names)}" for module, names in modules.items())


def _print_imports(page: Page, inspection: Inspection) -> None:
    if inspection.imports is None:
        return
    page.heading("Imports")
    if not inspection.imports:
        page.line("  none")
    groups: dict[str, list[SeenImport]] = {}
    for item in inspection.imports:
        groups.setdefault(item.module, []).append(item)
    for module, members in groups.items():
        about = "WASI preview 2, the host's own" if module.startswith("wasi:") else _PLATFORMS.get(module)
        page.line(f"  {module}" + (f"  ({about})" if about else ""))
        rows = [(item.name, _cut(item.type), _remark(item)) for item in members]
        page.table(("", "", ""), rows, indent=4)


def _remark(seen: SeenImport) -> str:
    if seen.fault is not None:
        return f"REFUSED: {seen.fault}"
    return f"needs {seen.capability}" if seen.capability else seen.remark


def _cut(shown: str) -> str:
    """A type that fits into a line: those of components are long, and the JSON document has them whole."""
    return shown if len(shown) <= _MAX_TYPE_CHARACTERS else shown[: _MAX_TYPE_CHARACTERS - 1] + "…"


def _import_document(seen: SeenImport) -> dict[str, Any]:
    return {
        "module": seen.module,
        "name": seen.name,
        "kind": seen.kind,
        "type": seen.type,
        "capability": seen.capability,
        "fault": seen.fault,
        "remark": seen.remark,
    }
