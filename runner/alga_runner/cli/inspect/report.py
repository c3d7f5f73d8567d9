"""An inspection, to read or as JSON."""

from __future__ import annotations

from typing import Any

from ...engine import Signature
from ...models import DEFAULT_CAPABILITIES, Manifest
from ..failures import error_document, report
from ..page import Page
from ..values import size
from .inspection import Inspection, SeenImport

_PLATFORMS = {
    "wasi_snapshot_preview1": "WASI preview 1, the host's own",
    "env": "AssemblyScript's runtime library",
}


def print_inspection(found: Inspection) -> None:
    """Everything that is known on stdout, then on stderr why a runner would refuse it, if it would."""
    page = Page()
    manifest = found.manifest
    page.line(f"{manifest.name} {manifest.version}" if manifest else found.path, style="bold")
    page.table(("", ""), _facts(found))
    if manifest is not None:
        _print_endpoints(page, manifest)
    _print_capabilities(page, found)
    _print_imports(page, found)
    if found.exports is not None:
        page.heading("Exports")
        page.table(("", "", ""), [(each.name, each.kind, _type(each.signature)) for each in found.exports])
    page.line()
    if found.refusals:
        page.line("A runner would refuse it.", style="red")
    else:
        page.line("A runner would load it.", style="green")
    for refusal in found.refusals:
        report(refusal)


def inspection_document(found: Inspection) -> None:
    """One JSON document on stdout; why a runner would refuse it on stderr too."""
    Page().document(
        {
            "path": found.path,
            "kind": found.kind,
            "contentHash": found.content_hash,
            "manifest": found.manifest.model_dump(by_alias=True, exclude_none=True)
            if found.manifest
            else None,
            "module": {"bytes": len(found.wasm), "hash": found.wasm_hash},
            "abi": found.markers,
            "imports": None if found.imports is None else [_import_document(each) for each in found.imports],
            "exports": None
            if found.exports is None
            else [
                {"name": each.name, "kind": each.kind, "type": _type(each.signature)}
                for each in found.exports
            ],
            "capabilities": {
                "declared": found.declared,
                "needed": found.needed,
                "undeclared": found.undeclared,
                "unused": found.unused,
            },
            "loads": not found.refusals,
            "refusals": [error_document(refusal) for refusal in found.refusals],
        }
    )
    for refusal in found.refusals:
        report(refusal)


def _facts(found: Inspection) -> list[tuple[str, str]]:
    manifest = found.manifest
    facts = [(found.kind, found.path)]
    if manifest is not None:
        facts += [("publisher", manifest.publisher)] if manifest.publisher else []
        facts += [("runtime", manifest.runtime)]
    if found.content_hash is not None:
        facts += [("content hash", found.content_hash)]
    facts += [("module", f"{size(len(found.wasm))} ({len(found.wasm)} bytes)"), ("", found.wasm_hash)]
    if found.exports is not None:
        facts += [("guest ABI", ", ".join(found.markers) or "none: it exports no marker")]
    return facts


def _print_endpoints(page: Page, manifest: Manifest) -> None:
    page.heading("Endpoints")
    if not manifest.endpoints:
        page.line("  none")
    page.table(
        ("", "", "", ""),
        [
            (each.method, each.path, each.handler, "can be scheduled" if each.schedulable else "")
            for each in manifest.endpoints
        ],
    )


def _print_capabilities(page: Page, found: Inspection) -> None:
    names = sorted({*found.declared, *found.needed})
    page.heading("Capabilities")
    if not names:
        page.line("  none")
    page.table(("", "", ""), [(name, _declared(found, name), _use(found, name)) for name in names])
    for name in found.undeclared:
        page.line(f"  Undeclared: {name}. Without it in the manifest nobody can grant it.", style="yellow")
    for name in found.unused:
        page.line(f"  Unused: {name}. No import needs it.", style="yellow")


def _declared(found: Inspection, name: str) -> str:
    if name in DEFAULT_CAPABILITIES:
        return "everyone has it"
    if found.manifest is None:
        return "-"
    return "declared" if name in found.declared else "NOT DECLARED"


def _use(found: Inspection, name: str) -> str:
    if found.imports is None:
        return ""
    uses = found.needed.get(name, [])
    if not uses:
        return "no import needs it"
    modules: dict[str, list[str]] = {}
    for use in uses:
        module, _, function = use.partition(" ")
        modules.setdefault(module, []).append(function)
    return "for " + "; ".join(f"{module} {', '.join(names)}" for module, names in modules.items())


def _print_imports(page: Page, found: Inspection) -> None:
    if found.imports is None:
        return
    page.heading("Imports")
    if not found.imports:
        page.line("  none")
    groups: dict[str, list[SeenImport]] = {}
    for each in found.imports:
        groups.setdefault(each.type.module, []).append(each)
    for module, members in groups.items():
        about = _PLATFORMS.get(module)
        page.line(f"  {module}" + (f"  ({about})" if about else ""))
        rows = [(each.type.name, _type(each.type.signature), _remark(each)) for each in members]
        page.table(("", "", ""), rows, indent=4)


def _remark(seen: SeenImport) -> str:
    if seen.fault is not None:
        return f"REFUSED: {seen.fault}"
    return f"needs {seen.capability}" if seen.capability else ""


def _type(signature: Signature | None) -> str:
    return "" if signature is None else str(signature)


def _import_document(seen: SeenImport) -> dict[str, Any]:
    return {
        "module": seen.type.module,
        "name": seen.type.name,
        "kind": seen.type.kind,
        "type": _type(seen.type.signature),
        "capability": seen.capability,
        "fault": seen.fault,
    }
