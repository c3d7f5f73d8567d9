"""What can be known of an extension without running it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import anyio

from alga_common.bundle_layout import WASM

from ...bundles import Bundle, read_bundle
from ...bundles.read import read_archive
from ...capabilities import Gate
from ...engine import Engine, EngineConfig, ExportType, ImportType, Module, engine_context
from ...errors import AlgaError, BundleError, BundleInvalid, BundleNotFound, ManifestInvalid
from ...execution.programs import module_loader, require_size
from ...guests.abi import Import, check_module
from ...guests.core import core_imports
from ...guests.log import GuestLog
from ...models import DEFAULT_CAPABILITIES, Manifest
from ...models.manifest import check_module_presence
from ...settings import MIB, Settings
from ...telemetry import Telemetry

_MAGIC = b"\0asm"
_MARKER = "alga_abi_v"


@dataclass(frozen=True, slots=True)
class SeenImport:
    """One import. ``fault`` is why a runner would not link it; ``capability`` is needed to call it."""

    type: ImportType
    capability: str | None = None
    fault: str | None = None


@dataclass(slots=True)
class Inspection:
    """A description of ``path``: a ``folder``, a ``bundle`` or a ``module``. Parts that are not there are ``None``."""

    path: str
    kind: str
    wasm: bytes | None
    manifest: Manifest | None = None
    content_hash: str | None = None
    markers: list[str] = field(default_factory=list)
    imports: list[SeenImport] | None = None
    exports: Sequence[ExportType] | None = None
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
                uses.setdefault(seen.capability, []).append(f"{seen.type.module} {seen.type.name}")
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
    bundle = Bundle.from_archive(data)
    inspection = Inspection(str(place), "bundle", bundle.files.get(WASM), content_hash=bundle.content_hash)
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
    module = anyio.run(_loaded, settings, wasm)
    known = known_imports()
    inspection.exports = module.exports
    inspection.markers = [export.name for export in module.exports if export.name.startswith(_MARKER)]
    inspection.imports = [_seen(declared, known) for declared in sorted(module.imports, key=_order)]
    check_module(module, known)


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


async def _loaded(settings: Settings, wasm: bytes) -> Module:
    engine = engine_to_load(settings)
    with closing(Telemetry()) as telemetry, closing(module_loader(settings, engine, telemetry)) as modules:
        return await modules.load(wasm, "")


def _order(declared: ImportType) -> tuple[bool, str, str]:
    """The host's own imports first, then by name."""
    return not declared.module.startswith("alga:"), declared.module, declared.name


def known_imports() -> Mapping[tuple[str, str], Import]:
    """Everything that a guest may import."""
    with closing(Telemetry()) as telemetry:
        gate = Gate(telemetry)
        return {
            (item.function.module, item.function.name): item for item in core_imports(gate, GuestLog(gate))
        }


def _seen(declared: ImportType, known: Mapping[tuple[str, str], Import]) -> SeenImport:
    offered = known.get((declared.module, declared.name))
    if declared.kind != "function":
        return SeenImport(declared, fault=f"a {declared.kind}; the host offers functions only")
    if offered is None:
        names = [item.name for item in known.values()]
        nearest = get_close_matches(f"{declared.module} {declared.name}", names, n=1)
        return SeenImport(declared, fault="unknown" + (f"; the nearest is {nearest[0]}" if nearest else ""))
    if declared.signature != offered.function.signature:
        fault = f"the host's type is {offered.function.signature}"
        return SeenImport(declared, offered.capability, fault)
    return SeenImport(declared, offered.capability)
