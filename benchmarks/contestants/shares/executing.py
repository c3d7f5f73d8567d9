"""What both sides need to ask a runner itself: guests, archives in the folder that it reads, and execute requests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from wasmtime import wat2wasm

from alga_runner.bundles import FolderBundles
from alga_runner.models import content_hash
from alga_runner.models.archive import pack

from ...seeding import TOKEN
from ..workload import MANIFEST
from .sides import Attacker, Side, Victim

ATTACKER, VICTIM = "attacker", "victim"
MIB = 1 << 20

_ANSWER = b"\x81\xa6status\xcc\xc8"
_POLL = (
    """(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"""
)


def guest(code: str = "", *, imports: str = "", exports: str = "") -> bytes:
    """A guest that does ``code``, then answers."""
    answer = "".join(f"\\{byte:02x}" for byte in _ANSWER)
    return bytes(
        wat2wasm(f"""(module (import "alga:abi" "respond" (func $respond (param i32 i32))) {imports}
          (memory (export "memory") 2) (data (i32.const 0) "{answer}")
          (func (export "alga_abi_v1")) {exports} (func (export "alga_handle") (param i32) {code}
            (call $respond (i32.const 0) (i32.const {len(_ANSWER)}))))""")
    )


def sleeping(seconds: float) -> tuple[str, str]:
    """Code that sleeps, and what it imports."""
    clock = "(i32.store (i32.const 1040) (i32.const 1))"
    time = f"(i64.store (i32.const 1048) (i64.const {round(seconds * 1e9)}))"
    poll = "(drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 4096)))"
    return clock + time + poll, _POLL


def another(wasm: bytes, number: int) -> bytes:
    """``wasm`` with a custom section, which makes it another module."""
    return wasm + b"\0\x0d\x04copy" + number.to_bytes(8, "little")


class _Executing(Side):
    """An order names the ``folder`` that the runner reads bundles from. Of a ``tenant``."""

    tenant: str

    async def start(self, order: Mapping[str, Any]) -> None:
        """Publish what every call needs."""
        self._folder = Path(order["folder"])
        self._numbers = count(1)
        self.publish_first()

    def publish_first(self) -> None:
        """Publish what every call needs."""

    def number(self) -> int:
        """Another one with every call."""
        return next(self._numbers)

    def publish(self, wasm: bytes, page: bytes | None = None) -> str:
        """Put an archive where the runner finds it; its hash."""
        files = {} if page is None else {"ui/page.txt": page}
        archive = pack({"manifest.json": MANIFEST, "dist/main.wasm": wasm, **files})
        path = self._path("ext", content_hash(archive))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive)
        return content_hash(archive)

    def publish_as(self, hash_: str, extension: str) -> None:
        """Publish an archive as another extension as well."""
        path = self._path(extension, hash_)
        path.parent.mkdir(parents=True)
        os.link(self._path("ext", hash_), path)

    def execute(self, hash_: str, extension: str = "ext") -> httpx.Request:
        """The request to execute it."""
        document = {
            "context": {
                "request_id": "request",
                "tenant_id": self.tenant,
                "extension_id": extension,
                "install_id": "install",
                "content_hash": hash_,
            },
            "http": {"method": "POST", "path": "/run"},
        }
        headers = {
            "x-runner-service-token": TOKEN,
            "x-alga-tenant": self.tenant,
            "x-alga-extension": extension,
        }
        return self.client.build_request("POST", "/v1/execute", json=document, headers=headers)

    def _path(self, extension: str, hash_: str) -> Path:
        return self._folder / FolderBundles.key(self.tenant, extension, hash_)


class ExecutingAttacker(_Executing, Attacker):
    """Asks the runner for executions, as the tenant that attacks."""

    tenant = ATTACKER


class ExecutingVictim(_Executing, Victim):
    """Asks the runner for executions, as another tenant."""

    tenant = VICTIM
