"""What can be known of an extension without running it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from alga_common.bundle_layout import WASM
from alga_common.signals.coroutines import run

from ...bundles import Bundle, read_bundle
from ...bundles.read import read_archive
from ...capabilities import Gate
from ...engine import (
    Component,
    ComponentImport,
    Engine,
    EngineConfig,
    ImportType,
    Module,
    Signature,
    engine_context,
)
from ...errors import AlgaError, BundleError, BundleInvalid, BundleNotFound, ManifestInvalid
from ...execution.programs import module_loader, require_size
from ...guests.abi import HOST_CALL, Import, is_operation, is_weak, offer
from ...guests.component import effect, is_known, needed_capability
from ...guests.core import core_imports
from ...guests.host import check
from ...guests.log import GuestLog
from ...models import DEFAULT_CAPABILITIES, Manifest
from ...models.manifest import check_module_presence
from ...settings import MIB, Settings
from ...telemetry import Telemetry

_MAGIC = b"\0asm"
_MARKER = "alga_abi_v"


@dataclass(frozen=True, slots=True)
class SeenImport:
    """One import. ``fault`` is why a runner would not link it; ``capability`` is needed to call it.

    ``remark`` is what becomes of a call, where the host does not carry it out.
    """

    module: str
    name: str
    kind: str
    type: str
    capability: str | None = None
    fault: str | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class SeenExport:
    """One export."""

    name: str
    kind: str
    type: str


@dataclass(slots=True)
class Inspection:
    """A description of ``path``: a ``folder``, a ``bundle`` or a ``module``. Parts that are not there are ``None``.

    ``abi`` is what its code is: the markers of the guest ABI that a core module has, or ``component``.
    """

    path: str
    kind: str
    wasm: bytes | None
    manifest: Manifest | None = None
    content_hash: str | None = None
    abi: list[str] = field(default_factory=list)
    imports: list[SeenImport] | None = None
    exports: Sequence[SeenExport] | None = None
    skipped: Sequence[str] = ()
    """A sentence about each entry of the archive that is left out."""
    refusals: list[AlgaError] = field(default_factory=list)

    @property
    def wasm_hash(self) -> str | None:
        """The module's own hash, ``sha256:...``; ``None`` for an extension of pages alone."""
        return None if self.wasm is None else f"sha256:{hashlib.sha256(self.wasm).hexdigest()}"

    @property
    def needed(self) -> dict[str, list[str]]:
        """Capabilities that imports need, each with those imports."""
        uses: dict[str, list[str]] = {}
        for seen in self.imports or ():
            if seen.capability is not None:
                uses.setdefault(seen.capability, []).append(f"{seen.module} {seen.name}")
        return uses

    @property
    def declared(self) -> list[str]:
        """Capabilities that the manifest declares."""
        return list(self.manifest.capabilities) if self.manifest else []

    @property
    def undeclared(self) -> list[str]:
        """Needed capabilities that the manifest lacks, apart from those that everyone has."""
        if self.manifest is None:
            return []
        return sorted(self.needed.keys() - set(self.declared) - DEFAULT_CAPABILITIES)

    @property
    def unused(self) -> list[str]:
        """Declared capabilities that no import needs, apart from those that everyone has."""
        if self.imports is None:
            return []
        return sorted(set(self.declared) - self.needed.keys() - DEFAULT_CAPABILITIES)


def look_at(path: str) -> Inspection:
    """Read and compile the extension or module at ``path``; nothing of it runs.

    Raises a ``BundleError`` when there is no module to describe, ``SettingsError``, ``EngineUnavailable``.
    """
    inspection = _read(Path(path))
    try:
        if inspection.wasm is not None:
            _describe(inspection, inspection.wasm)
    except AlgaError as refusal:
        inspection.refusals.append(refusal)
    return inspection


def _read(place: Path) -> Inspection:
    if place.is_dir():
        return _read_folder(place)
    if not place.exists():
        raise BundleNotFound(
            f"There is no file or folder at {place}.",
            hint="Give an extension's folder, a packed bundle (.tar.zst) or a WebAssembly module (.wasm).",
        )
    data = read_archive(place)
    if data.startswith(_MAGIC) or place.suffix in {".wasm", ".wat"}:
        return Inspection(str(place), "module", data)
    bundle = Bundle.from_archive(data, entries=Settings.load().bundle_entries)
    inspection = Inspection(str(place), "bundle", bundle.files.get(WASM), content_hash=bundle.content_hash)
    inspection.skipped = bundle.skipped
    try:
        inspection.manifest = bundle.manifest
        check_module_presence(bundle.manifest, bundle.files)
    except (BundleInvalid, ManifestInvalid) as refusal:
        inspection.refusals.append(refusal)
    return inspection


def _read_folder(place: Path) -> Inspection:
    try:
        bundle = read_bundle(place)
    except BundleError as refusal:
        # The bundle is refused, yet its module may be there to describe.
        if not (place / WASM).is_file():
            raise
        inspection = Inspection(str(place), "folder", read_archive(place / WASM))
        inspection.refusals.append(refusal)
        return inspection
    return Inspection(str(place), "folder", bundle.files.get(WASM), bundle.manifest, bundle.content_hash)


def _describe(inspection: Inspection, wasm: bytes) -> None:
    """Fill in the module's imports and exports. Raises the ``ModuleError`` for which a runner would refuse it."""
    settings = Settings.load()
    require_size(wasm, settings.max_module_bytes)
    module = run(_loaded, settings, wasm)
    known = known_imports()
    if isinstance(module, Component):
        inspection.abi = ["component"]
        inspection.exports = [
            SeenExport(name, "function", str(signature)) for name, signature in sorted(module.exports.items())
        ]
        inspection.imports = [_seen_by_component(imported) for imported in module.imports]
    else:
        inspection.abi = [export.name for export in module.exports if export.name.startswith(_MARKER)]
        inspection.exports = [
            SeenExport(item.name, item.kind, _shown(item.signature)) for item in module.exports
        ]
        inspection.imports = [_seen(declared, known) for declared in module.imports]
    inspection.imports.sort(key=_order)
    check(module, known)


def engine_to_load(settings: Settings) -> Engine:
    """An engine that takes the modules that a runner takes, but is not meant to run them."""
    return engine_context.engine(
        EngineConfig(
            max_guests=1,
            max_memory_bytes=settings.max_memory_mb * MIB,
            max_table_elements=settings.max_table_elements,
            wasm_stack_bytes=settings.wasm_stack_bytes,
            tick_ms=settings.epoch_tick_ms,
        )
    )


async def _loaded(settings: Settings, wasm: bytes) -> Module | Component:
    engine = engine_to_load(settings)
    with closing(Telemetry()) as telemetry, closing(module_loader(settings, engine, telemetry)) as modules:
        return await modules.load(wasm, "")


def _order(seen: SeenImport) -> tuple[bool, str, str]:
    """The host's own imports first, then by name."""
    return not seen.module.startswith("alga:"), seen.module, seen.name


def _shown(signature: Signature | None) -> str:
    return "" if signature is None else str(signature)


def known_imports() -> Mapping[tuple[str, str], Import]:
    """Everything that a guest may import."""
    with closing(Telemetry()) as telemetry:
        gate = Gate(telemetry)
        return {
            (item.function.module, item.function.name): item for item in core_imports(gate, GuestLog(gate))
        }


def _seen(declared: ImportType, known: Mapping[tuple[str, str], Import]) -> SeenImport:
    module, name, offered = declared.module, declared.name, offer(declared.module, declared.name, known)
    seen = SeenImport(module, name, declared.kind, _shown(declared.signature))
    if declared.kind != "function":
        return replace(seen, fault=f"a {declared.kind}; the host offers functions only")
    if offered is None and is_weak(module) and is_operation(module, name) and declared.signature == HOST_CALL:
        return replace(seen, remark="not here: answers unsupported")
    if offered is None:
        nearest = get_close_matches(f"{module} {name}", [item.name for item in known.values()], n=1)
        return replace(seen, fault="unknown" + (f"; the nearest is {nearest[0]}" if nearest else ""))
    if declared.signature != offered.function.signature:
        seen = replace(seen, fault=f"the host's type is {offered.function.signature}")
    return replace(seen, capability=offered.capability)


def _seen_by_component(imported: ComponentImport) -> SeenImport:
    seen = SeenImport(
        imported.full_interface,
        imported.name,
        "resource" if imported.type is None else "function",
        str(imported.type or ""),
        needed_capability(imported),
    )
    if not is_known(imported):
        return replace(seen, fault="unknown")
    return replace(seen, remark=effect(imported))
