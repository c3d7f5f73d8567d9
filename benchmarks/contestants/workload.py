"""The work that guests on both sides do (``guests/work.h``): requests, and the only right answer to each."""

from __future__ import annotations

import base64
import random
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgpack

from alga_runner import ExecuteRequest
from alga_runner.bundles import Bundle
from alga_runner.guests.http import encode_request

GUESTS = Path(__file__).resolve().parent.parent / "guests"

BODY_BYTES = 1024
VARIANTS = 16
"""Different bodies, so that no answer can be one that was kept."""

SCHEDULE_ID = "6c2f4f0e-5a0c-4c56-9f5e-0d7a3a1f8c11"
SCHEDULE: dict[str, Any] = {
    "id": SCHEDULE_ID,
    "endpointPath": "/sync",
    "endpointMethod": "POST",
    "name": "Hourly sync",
    "cron": "0 * * * *",
    "timezone": "UTC",
    "enabled": True,
    "payload": {"full": False},
    "createdAt": "2026-01-01T12:30:00.000Z",
}

REPLIES: dict[str, bytes] = {
    "create": msgpack.packb({"ok": {"scheduleId": SCHEDULE_ID}}),
    "list": msgpack.packb({"ok": {"schedules": [SCHEDULE]}}),
}
"""What a host call is answered with, byte for byte, on both sides."""

EXTENSION = "com.example.bench"
MANIFEST = b'{"name": "com.example.bench", "version": "1.0.0", "runtime": "wasm-c@1"}'


def alga_guest() -> Bundle:
    """The guest of the Alga ABI as an extension."""
    return Bundle.from_files(
        {"manifest.json": MANIFEST, "dist/main.wasm": (GUESTS / "alga.wasm").read_bytes()}
    )


def extism_guest() -> bytes:
    """The same guest as a plugin of Extism."""
    return (GUESTS / "extism.wasm").read_bytes()


@dataclass(frozen=True)
class Work:
    """One request, in the form that each contestant reads, and the expected answer."""

    path: str
    content_hash: str
    body: bytes

    @cached_property
    def document(self) -> dict[str, Any]:
        """The execute request as the service receives it."""
        return {
            "context": {
                "request_id": "0d9e4a57-6f3c-4d0b-8d4f-2b1d1c0f7a55",
                "tenant_id": "acme",
                "extension_id": EXTENSION,
                "install_id": "4f6f3a0e-9a2e-4e0c-a1c5-3c7d6b8f9e21",
                "content_hash": self.content_hash,
                "version_id": "1.0.0",
                "config": {"intervalHours": "6"},
            },
            "http": {
                "method": "POST",
                "path": self.path,
                "headers": {"content-type": "application/octet-stream", "accept": "*/*"},
                "body_b64": base64.b64encode(self.body).decode(),
            },
            "providers": ["cap:scheduler.manage", "cap:context.read", "cap:log.emit"],
        }

    @cached_property
    def guest_input(self) -> bytes:
        """The request document that the runner hands its guest: Extism's plugin is given the same bytes."""
        return encode_request(ExecuteRequest.model_validate(self.document), max_body_bytes=2 * BODY_BYTES)

    @cached_property
    def answer(self) -> bytes:
        """The body that the guest must answer."""
        operation, _, count = self.path[1:].partition("/")
        replies = REPLIES[operation] * int(count) if operation in REPLIES else b""
        return b"%08x%08x" % (zlib.adler32(self.body), zlib.adler32(replies)) + self.body[16:]

    @cached_property
    def guest_output(self) -> bytes:
        """The response document that the guest must write."""
        headers = [{"name": "content-type", "value": "application/octet-stream"}]
        output: bytes = msgpack.packb({"status": 200, "headers": headers, "body": self.answer})
        return output


def works(path: str, content_hash: str = "sha256:" + 64 * "0") -> list[Work]:
    """``VARIANTS`` requests for ``path``, with different bodies."""
    bodies = random.Random(path)  # noqa: S311 - the same in every run
    return [Work(path, content_hash, bodies.randbytes(BODY_BYTES)) for _ in range(VARIANTS)]
