"""One extension as it was published: its files and the hash that names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Self

from alga_common.bundle_layout import MANIFEST, SOURCE_MAP, WASM

from ..errors import BundleHashMismatch, ManifestInvalid, NoHandler
from ..models import Manifest, content_hash, pack, parse_content_hash, parse_manifest, unpack
from ..settings import BundleEntries


@dataclass(frozen=True)
class Bundle:
    """An extension's files, path to content, under the content hash of their archive.

    An execution needs ``wasm`` alone, so a bundle that Alga once took runs even where its manifest breaks a rule:
    ``manifest`` is read when it is asked for.
    """

    content_hash: str
    files: Mapping[str, bytes] = field(repr=False)
    skipped: tuple[str, ...] = ()
    """A sentence about each entry of the archive that was left out."""
    signer: str | None = None
    """Who signed it, by the name in the trust bundle; ``None`` without a valid signature, or if none is verified."""

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """The bundle that packing ``files`` makes. Raises ``BundleInvalid`` where a path is amiss."""
        return cls(content_hash(pack(files)), MappingProxyType(dict(files)))

    @classmethod
    def from_archive(
        cls, archive: bytes, expected_hash: str | None = None, *, entries: BundleEntries = "refuse"
    ) -> Self:
        """The bundle in ``archive``. Given ``expected_hash``, nothing else is unpacked.

        ``entries`` is what becomes of entries that no bundle has, such as links. Raises ``BundleHashMismatch``, in the
        contract's words (alga-contract 1.3), or ``BundleInvalid``.
        """
        actual = content_hash(archive)
        if expected_hash is not None and actual != (expected := parse_content_hash(expected_hash)):
            raise BundleHashMismatch(
                f"archive hash mismatch: expected {_hex(expected)}, got {_hex(actual)}",
                hint="The stored archive was replaced or damaged; publish the bundle again.",
            )
        skipped: list[str] = []
        files = unpack(archive, on_skip=skipped.append if entries == "skip" else None)
        return cls(actual, MappingProxyType(files), tuple(skipped))

    @property
    def wasm(self) -> bytes:
        """The WebAssembly module. Raises ``NoHandler`` for an extension of pages alone."""
        if WASM not in self.files:
            raise NoHandler(
                f"The bundle {self.content_hash} holds no {WASM}, so the extension has no handler.",
                hint="An extension of ui/ alone has pages, which no runner executes. Build it if it has endpoints.",
            )
        return self.files[WASM]

    def without_pages(self) -> Self:
        """The same bundle with its module and manifest alone: what an execution needs."""
        files = {path: self.files[path] for path in (MANIFEST, WASM) if path in self.files}
        return replace(self, files=MappingProxyType(files))

    @property
    def source_map(self) -> bytes | None:
        """The source map next to the module, if the bundle has one."""
        return self.files.get(SOURCE_MAP)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest. Raises ``ManifestInvalid``."""
        if MANIFEST not in self.files:
            raise ManifestInvalid(f"The bundle {self.content_hash} holds no {MANIFEST}.")
        return parse_manifest(self.files[MANIFEST])


def _hex(full_hash: str) -> str:
    return full_hash.removeprefix("sha256:")
