"""Lists of megabytes, sleeping guests and large bodies, by way of a server's gateway."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import httpx
from wasmtime import wat2wasm

from ...seeding import TOKEN
from . import installing, sides

CALLERS = {"reads": 20, "places": 200, "bodies": 20}
"""By resource, how many of the tenant's callers ask again as soon as they are answered."""

_SCHEDULES = 50
_PAYLOAD = [{"a": 1}] * 11_000
_BODY = bytes(8 * 1024 * 1024)
_SLEEP = struct.pack("<QB7xI4xQQH6x", 1, 0, 1, 20_000_000_000, 0, 0)
_RESPONSE = b"\x81\xa6status\xcc\xc8"
_LIST = """(import "alga:scheduler" "list" (func $list (param i32 i32 i32 i32) (result i32)))"""
_POLL = (
    """(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"""
)
_GUESTS = {
    "victim": ("", b"", ""),
    "reads": (
        _LIST,
        b"\x80",
        "(loop $l (drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0))) (br $l))",
    ),
    "sleeps": (
        _POLL,
        _SLEEP,
        "(drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 4096)))",
    ),
}
_ATTACKS = {"reads": ("reads", b""), "places": ("sleeps", b""), "bodies": ("sleeps", _BODY)}
"""By resource, the extension that is called, and with which body."""


class Attacker(sides.Attacker):
    """An order has the number of ``schedules`` of a listed install."""

    callers = CALLERS

    async def start(self, order: Mapping[str, Any]) -> None:
        """Publish and install the extensions."""
        self._extensions = {
            name: await _install(self.client, name, order["schedules"]) for name in ("reads", "sleeps")
        }

    def request(self, resource: str) -> httpx.Request:
        """One call of the extension that attacks."""
        extension, body = _ATTACKS[resource]
        return _call(self.client, "attacker", self._extensions[extension], body)


class Victim(sides.Victim):
    """Calls an extension that answers immediately."""

    async def start(self, order: Mapping[str, Any]) -> None:
        """Publish and install the extension."""
        self._extension = await _install(self.client, "victim", 0)

    def request(self, resource: str) -> httpx.Request:
        """One call of it."""
        return _call(self.client, "victim", self._extension, b"")


def _call(client: httpx.AsyncClient, tenant: str, extension_id: str, body: bytes) -> httpx.Request:
    headers = {"authorization": f"Bearer {TOKEN}", "x-alga-tenant": tenant}
    return client.build_request("POST", f"/api/ext/{extension_id}/run", headers=headers, content=body)


async def _install(client: httpx.AsyncClient, name: str, schedules: int) -> str:
    """Publish an extension and install it for its tenant; its id."""
    imports, data, code = _GUESTS[name]
    escaped = ["".join(f"\\{byte:02x}" for byte in content) for content in (_RESPONSE, data)]
    wasm = bytes(
        wat2wasm(f"""(module (import "alga:abi" "respond" (func $respond (param i32 i32))) {imports}
          (memory (export "memory") 1) (data (i32.const 0) "{escaped[0]}") (data (i32.const 1024) "{escaped[1]}")
          (func (export "alga_abi_v1")) (func (export "alga_handle") (param i32) {code}
            (call $respond (i32.const 0) (i32.const {len(_RESPONSE)}))))""")
    )
    tenant = "victim" if name == "victim" else "attacker"
    extension_id, install_id = await installing.install(client, tenant, name, wasm)
    if name == "reads":
        await installing.schedule(client, tenant, install_id, min(schedules, _SCHEDULES), payload=_PAYLOAD)
    return extension_id
