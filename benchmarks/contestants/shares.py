"""A tenant at its bounds, and what another one's calls of a server's gateway take meanwhile."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import Any

import anyio
import httpx
from wasmtime import wat2wasm

from alga_runner.models.archive import pack

from ..child import Contestant, Counts, Work, WrongAnswer
from ..seeding import TOKEN

QUIET = "quiet"
CALLERS = {"reads": 20, "places": 200, "bodies": 20}
"""By resource, how many of the tenant's callers ask again as soon as they are answered."""

_CAPABILITY = "cap:scheduler.manage"
_SCHEDULES = 50
_PAYLOAD = [{"a": 1}] * 11_000
_BODY = bytes(8 * 1024 * 1024)
_PAUSE_S = 0.005
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


class _Side(Contestant):
    """One tenant's callers. An order names the ``server``, and how many ``schedules`` a listed install has."""

    names: tuple[str, ...] = ()
    """The tenant's extensions."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._extensions: dict[str, str] = {}

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _ready(self, order: Mapping[str, Any]) -> httpx.AsyncClient:
        """The client of both services; the extensions are installed the first time."""
        if self._client is None:
            limits = httpx.Limits(max_connections=500)
            self._client = httpx.AsyncClient(
                base_url=order["server"], timeout=120, trust_env=False, limits=limits
            )
            for name in self.names:
                self._extensions[name] = await _install(self._client, name, order["schedules"])
        return self._client


class Attacker(_Side):
    """An order names the ``attack``, ``quiet`` for none, and how many ``seconds`` it lasts."""

    names = ("reads", "sleeps")

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Publish and install the extensions once."""
        client, attack = await self._ready(order), order["attack"]

        async def run() -> Counts:
            asked = Asked()
            with anyio.move_on_after(order["seconds"]):
                async with anyio.create_task_group() as callers:
                    for _ in range(CALLERS.get(attack, 0)):
                        callers.start_soon(self._ask_on, client, attack, asked)
                    await anyio.sleep_forever()
            return {
                "done": asked.answered + asked.refused,
                "answered": asked.answered,
                "refused": asked.refused,
            }

        return run

    async def _ask_on(self, client: httpx.AsyncClient, attack: str, asked: Asked) -> None:
        extension, body = _ATTACKS[attack]
        while True:
            response = await _call(client, "attacker", self._extensions[extension], body)
            if response.status_code == 429:
                asked.refused += 1
                await anyio.sleep(float(response.headers.get("retry-after", 1)))
            else:
                asked.answered += 1


class Victim(_Side):
    """An order names how many ``seconds`` it waits for the attack to begin, and how many it calls."""

    names = ("victim",)

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Publish and install the extension once."""
        client = await self._ready(order)
        await self._call(client)

        async def run() -> Counts:
            took: list[float] = []
            await anyio.sleep(order["after"])
            end = perf_counter() + order["seconds"]
            while not took or perf_counter() < end:
                started = perf_counter()
                await self._call(client)
                took.append(perf_counter() - started)
                await anyio.sleep(_PAUSE_S)
            took.sort()
            return {"done": len(took)} | {
                f"p{share}_ms": took[len(took) * share // 100] * 1e3 for share in (50, 99)
            }

        return run

    async def _call(self, client: httpx.AsyncClient) -> None:
        response = await _call(client, "victim", self._extensions["victim"], b"")
        if response.status_code != 200:
            raise WrongAnswer(response.text)


class Asked:
    """What the attack came to."""

    answered = 0
    refused = 0


async def _call(client: httpx.AsyncClient, tenant: str, extension_id: str, body: bytes) -> httpx.Response:
    headers = {"authorization": f"Bearer {TOKEN}", "x-alga-tenant": tenant}
    return await client.post(f"/api/ext/{extension_id}/run", headers=headers, content=body)


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
    manifest = {
        "name": f"com.example.{name}",
        "version": "1.0.0",
        "runtime": "wasm-js@1",
        "capabilities": [_CAPABILITY],
        "api": {"endpoints": [{"method": "POST", "path": "/run", "handler": "run"}]},
    }
    archive = pack({"manifest.json": json.dumps(manifest).encode(), "dist/main.wasm": wasm})
    headers = {"authorization": f"Bearer {TOKEN}"}
    published = await client.post("/api/admin/extensions", content=archive, headers=headers)
    extension_id: str = published.raise_for_status().json()["extensionId"]
    tenant = "victim" if name == "victim" else "attacker"
    made = await client.post(
        f"/api/admin/tenants/{tenant}/installs",
        json={"extensionId": extension_id, "grants": [_CAPABILITY]},
        headers=headers,
    )
    url = f"/api/admin/tenants/{tenant}/installs/{made.raise_for_status().json()['installId']}/schedules"
    for _ in range(min(schedules, _SCHEDULES) if name == "reads" else 0):
        schedule = {"endpoint": "/run", "cron": "0 4 1 1 *", "payload": _PAYLOAD}
        (await client.post(url, json=schedule, headers=headers)).raise_for_status()
    return extension_id
