"""A server that speaks Vault's ``decrypt`` over HTTP: it checks token, namespace, mount and key before it decrypts."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx

from alga_runner.service.http import Message, Receive, Send

TOKEN = "hvs.token-of-the-test"
NAMESPACE = "alga/tenants"


class FakeVault:
    """Opens what ``seal`` sealed. ``requests`` are those it got, ``status`` replaces its answers."""

    def __init__(self) -> None:
        self.start_again()

    def start_again(self) -> None:
        """Be as at first."""
        self.token = TOKEN
        self.namespace: str | None = None
        self.status: int | None = None
        self.answer: bytes | None = None
        self.requests: list[tuple[str, str, httpx.Headers]] = []
        self._sealed: dict[tuple[str, str], str] = {}

    def seal(self, secrets: object, *, mount: str = "transit", key: str = "alga/install-1") -> str:
        """A ciphertext of ``secrets``."""
        plaintext = base64.b64encode(json.dumps(secrets).encode()).decode()
        ciphertext = f"vault:v1:{base64.b64encode(f'{len(self._sealed)}'.encode()).decode()}"
        self._sealed[f"{mount}/decrypt/{key}", ciphertext] = plaintext
        return ciphertext

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = httpx.Headers(scope["headers"])
        self.requests.append((scope["method"], scope["path"], headers))
        status, document = self._respond(scope, headers, body)
        content = self.answer if self.answer is not None else json.dumps(document).encode()
        await send(
            {
                "type": "http.response.start",
                "status": self.status or status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(content)),
                ],
            }
        )
        await send({"type": "http.response.body", "body": content})

    def _respond(self, scope: Message, headers: httpx.Headers, body: bytes) -> tuple[int, Any]:
        allowed = headers.get("x-vault-token") == self.token
        if not allowed or headers.get("x-vault-namespace") != self.namespace:
            return 403, {"errors": ["permission denied"]}
        path = scope["path"].removeprefix("/v1/")
        if (scope["method"], path) == ("GET", "auth/token/lookup-self"):
            return 200, {"data": {"ttl": 3600}}
        if scope["method"] != "POST" or "/decrypt/" not in path:
            return 404, {"errors": []}
        plaintext = self._sealed.get((path, json.loads(body)["ciphertext"]))
        if plaintext is None:
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": plaintext}}
