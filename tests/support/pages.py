"""Pages of an extension, and a registry that knows who has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

INDEX = b"<!doctype html><script src=app.js></script>"
SCRIPT = b"export const page = 1;"
FILES = {
    "ui/index.html": INDEX,
    "ui/app.js": SCRIPT,
    "ui/assets/style.css": b"p{}",
    "ui/logo.SVG": b"<svg/>",
    "ui/LICENSE": b"free",
    "ui/data.json": b"{}",
}


class FakeRegistry(httpx.AsyncBaseTransport):
    """Knows the installs in ``valid`` and the hosts in ``hosts``; keeps the requests that it gets."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.valid: set[tuple[str, str]] = {("acme", "ext")}
        self.hosts: dict[str, dict[str, Any]] = {}
        self.answer: Callable[[], Awaitable[httpx.Response]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.answer is not None:
            return await self.answer()
        query = request.url.params
        if request.url.path == "/api/installs/validate":
            return httpx.Response(200, json={"valid": (query["tenant"], query["extension"]) in self.valid})
        if (document := self.hosts.get(query["host"])) is None:
            return httpx.Response(404, json={"error": "not_found"})
        return httpx.Response(200, json=document)

    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]
